import type { AwsIdentity } from "../../../config/cloud/cloud-credentials.ts";
import { CloudError, shownCode } from "../cloud-error.ts";
import { askCloud, jsonOf } from "../cloud-request.ts";
import { readSecretLine } from "../secret-file.ts";
import type { AccessKeys } from "./access-keys.ts";
import { keysIn } from "./keys-in.ts";

type ContainerIdentity = Extract<AwsIdentity, { readonly kind: "container" }>;

/**
 * The keys that the agent of EKS Pod Identity, or of ECS, gives a container.
 *
 * @throws CloudError
 */
export async function containerKeys(
  { url, token, tokenFile }: ContainerIdentity,
  signal?: AbortSignal,
): Promise<AccessKeys> {
  const authorization = tokenFile === undefined ? token : await readSecretLine(tokenFile);
  const response = await askCloud({
    method: "GET",
    url,
    headers: {
      accept: "application/json",
      ...(authorization === undefined ? {} : { authorization }),
    },
    through: "metadata",
    signal,
    hint: "it is the agent of EKS Pod Identity or of ECS on this node",
  });
  const { host, status } = response;
  if (status === 200) return keysIn(jsonOf(response), host);
  const code = shownCode(jsonOf(response)["code"]) || String(status);
  throw new CloudError(
    `${host} gives no keys (${code}): see the pod identity association of this service account, or the role of the task`,
  );
}
