import { CloudError, shownCode } from "../cloud-error.ts";
import { headerValue } from "../cloud-request.ts";
import type { AccessKeys } from "./access-keys.ts";

/**
 * The keys in a response of an instance's or a container's metadata.
 *
 * @throws CloudError
 */
export function keysIn(response: Readonly<Record<string, unknown>>, host: string): AccessKeys {
  const code = shownCode(response["Code"]);
  if (code !== "" && code.toLowerCase() !== "success") {
    throw new CloudError(`${host} gives no keys (${code})`);
  }
  const accessKeyId = headerValue(response["AccessKeyId"]);
  const secretAccessKey = headerValue(response["SecretAccessKey"]);
  const sessionToken = headerValue(response["Token"]);
  if (accessKeyId !== undefined && secretAccessKey !== undefined && sessionToken !== undefined) {
    return { accessKeyId, secretAccessKey, sessionToken };
  }
  throw new CloudError(`${host} sent no AccessKeyId, SecretAccessKey and Token`);
}
