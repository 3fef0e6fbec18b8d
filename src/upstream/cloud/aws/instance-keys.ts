import { CloudError } from "../cloud-error.ts";
import { askCloud, type CloudResponse, headerValue, jsonOf } from "../cloud-request.ts";
import type { AccessKeys } from "./access-keys.ts";
import { keysIn } from "./keys-in.ts";

const ROLES = "/latest/meta-data/iam/security-credentials/";
/** In seconds: the session token is for these two requests. */
const SESSION_SECONDS = "60";
const HINT =
  "outside of EC2, give keys by the environment; in a pod, allow two hops to the metadata (HttpPutResponseHopLimit), or give its service account a role";

/**
 * The keys of the role of an EC2 instance (IMDSv2; version 1, which a server-side request forgery reaches, is not
 * asked).
 *
 * @throws CloudError
 */
export async function instanceKeys(server: URL, signal?: AbortSignal): Promise<AccessKeys> {
  const ask = (method: "GET" | "PUT", path: string, headers: Record<string, string>) =>
    askCloud({
      method,
      url: new URL(path, server),
      headers,
      through: "metadata",
      signal,
      hint: HINT,
    });
  const opened = await ask("PUT", "/latest/api/token", {
    "x-aws-ec2-metadata-token-ttl-seconds": SESSION_SECONDS,
  });
  const session = headerValue(opened.text.trim());
  if (opened.status !== 200 || session === undefined) {
    throw refused(opened, "opens no session (IMDSv2)");
  }
  const headers = { "x-aws-ec2-metadata-token": session };
  const roles = await ask("GET", ROLES, headers);
  const [role = ""] = roles.text.split("\n", 1);
  if (roles.status === 404 || (roles.status === 200 && role === "")) {
    throw new CloudError(
      `${server.host} knows no role of this instance: attach an instance profile with one`,
    );
  }
  if (roles.status !== 200 || !/^[\w+=,.@-]{1,64}$/.test(role)) {
    throw refused(roles, "names no role");
  }
  const found = await ask("GET", `${ROLES}${role}`, headers);
  if (found.status !== 200) throw refused(found, `gives no keys for the role ${role}`);
  return keysIn(jsonOf(found), found.host);
}

function refused({ host, status }: CloudResponse, what: string): CloudError {
  return new CloudError(`${host} ${what} (${status})`, { isPassing: status === 401 });
}
