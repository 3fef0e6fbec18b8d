import { parseObject } from "../../oci/json-object.ts";
import { CloudError, shownCode } from "./cloud-error.ts";
import { type CloudResponse, headerValue, jsonOf } from "./cloud-request.ts";

/** Of a token that does not say how long it is valid, in seconds. */
const UNKNOWN_LIFETIME = 300;

export interface AccessToken {
  readonly token: string;
  /** In milliseconds. */
  readonly lifetime: number;
}

/**
 * The access token of a response of OAuth 2.0 (RFC 6749 section 5).
 *
 * @param advise what to do about an error's code
 * @throws CloudError
 */
export function tokenOf(
  response: CloudResponse,
  advise: (code: string) => string = () => "",
): AccessToken {
  const { host, status } = response;
  if (status !== 200) {
    const code = errorOf(response);
    throw new CloudError(`${host} gives no token (${code || status})${advise(code)}`, {
      isPassing: code === "temporarily_unavailable" || code === "server_error",
    });
  }
  const object = jsonOf(response);
  const token = headerValue(object["access_token"]);
  if (token === undefined) throw new CloudError(`${host} sent no access_token`);
  return { token, lifetime: lifetimeOf(object["expires_in"]) };
}

/**
 * The code of an error. Microsoft's codes, of which `error` has only the kind, are at the beginning of the
 * description; of the rest, which may repeat what was sent, nothing is shown.
 */
function errorOf({ text }: CloudResponse): string {
  const object = parseObject(new TextEncoder().encode(text));
  const description = object?.["error_description"];
  const microsoft =
    typeof description === "string" ? /^AADSTS\d{1,9}(?=:)/.exec(description)?.[0] : undefined;
  return microsoft ?? shownCode(object?.["error"]);
}

/** A lifetime in seconds, which Azure writes as text; in milliseconds. */
function lifetimeOf(seconds: unknown): number {
  const value = typeof seconds === "string" && seconds !== "" ? Number(seconds) : seconds;
  return (typeof value === "number" && value > 0 ? value : UNKNOWN_LIFETIME) * 1000;
}
