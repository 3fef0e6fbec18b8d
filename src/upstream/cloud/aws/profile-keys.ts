import { CloudError } from "../cloud-error.ts";
import { headerValue } from "../cloud-request.ts";
import { readSecretFile } from "../secret-file.ts";
import type { AccessKeys } from "./access-keys.ts";

/**
 * Static keys of a profile in a credentials file of AWS.
 *
 * @throws CloudError
 */
export async function profileKeys(file: string, profile: string): Promise<AccessKeys> {
  const values = sectionOf(await readSecretFile(file), profile);
  if (!values) throw new CloudError(`${file} has no profile ${profile}`);
  const accessKeyId = headerValue(values.get("aws_access_key_id"));
  const secretAccessKey = headerValue(values.get("aws_secret_access_key"));
  const sessionToken = headerValue(values.get("aws_session_token"));
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new CloudError(
      `${file} has no aws_access_key_id and aws_secret_access_key in the profile ${profile}: other kinds of profiles are not supported here`,
    );
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

/** The keys and values below `[name]`; a later section of the same name adds to the first. */
function sectionOf(text: string, name: string): Map<string, string> | undefined {
  let found: Map<string, string> | undefined;
  let isInside = false;
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line)?.[1];
    if (header !== undefined) {
      isInside = header === name;
      if (isInside) found ??= new Map();
      continue;
    }
    const [, key = "", value = ""] = /^\s*([^#;=\s]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (isInside && key !== "") found?.set(key.toLowerCase(), value);
  }
  return found;
}
