import type { SharedStoreProblem } from "../shared-store/shared-store-error.ts";
import { errorCodeOf, textOf } from "../../upstream/cloud/aws/xml-text.ts";

/** What a failed response says. */
export interface FailedResponse {
  readonly status: number;
  readonly headers: Headers;
  /** Empty for HEAD. */
  readonly body: string;
}

/** What was asked for, as IAM names it without its `s3:`, and of which bucket. */
export interface Asked {
  readonly action: string;
  readonly bucket: string;
}

const CREDENTIAL_CODES: ReadonlyMap<string, string> = new Map([
  ["InvalidAccessKeyId", "the access key is not known"],
  ["SignatureDoesNotMatch", "the secret key is wrong"],
  ["ExpiredToken", "the session token has expired"],
  ["InvalidToken", "the session token is not valid"],
  ["TokenRefreshRequired", "the session token has expired"],
]);

const FULL_CODES = new Set([
  "QuotaExceeded",
  "InsufficientCapacity",
  "StorageFull",
  "XMinioStorageFull",
  "XMinioAdminBucketQuotaExceeded",
  "InsufficientStorage",
]);

const WRONG_BYTES_CODES = new Set([
  "XAmzContentSHA256Mismatch",
  "XAmzContentChecksumMismatch",
  "BadDigest",
  "InvalidDigest",
]);

const BUSY_CODES = new Set(["SlowDown", "RequestLimitExceeded", "TooManyRequests"]);

/** What a response means that is no success, and not that an object is missing. */
export function responseProblem(response: FailedResponse, asked: Asked): SharedStoreProblem {
  const { status, headers, body } = response;
  const code = errorCodeOf(body);
  const refused = CREDENTIAL_CODES.get(code);
  if (refused !== undefined) return { kind: "credentials", reason: `${refused} (${code})` };
  if (code === "NoSuchBucket") return { kind: "no-bucket", bucket: asked.bucket };
  if (code === "RequestTimeTooSkewed" || code === "RequestExpired") return { kind: "clock", code };
  if (code === "AuthorizationHeaderMalformed" || (status >= 300 && status < 400)) {
    return { kind: "elsewhere", where: whereOf(response) };
  }
  if (FULL_CODES.has(code) || status === 507) return { kind: "full", code: code || "507" };
  if (WRONG_BYTES_CODES.has(code)) return { kind: "wrong-bytes" };
  if (BUSY_CODES.has(code) || status === 429 || status === 503) return { kind: "busy", status };
  if (status === 401 || status === 403) {
    return { kind: "denied", action: asked.action, code: code || String(status) };
  }
  const isKnown = code !== "" || status >= 500 || body === "";
  if (isKnown) return { kind: "failed", status, code };
  const type = (headers.get("content-type") ?? "no type").slice(0, 64);
  return { kind: "invalid-response", reason: `${status} with ${JSON.stringify(type)}` };
}

function whereOf({ headers, body }: FailedResponse): string {
  const region = textOf(body, "Region") ?? headers.get("x-amz-bucket-region");
  const endpoint = textOf(body, "Endpoint");
  const parts = [
    ...(region ? [`it is in the region ${shown(region)}`] : []),
    ...(endpoint ? [`it is at ${shown(endpoint)}`] : []),
  ];
  return parts.length === 0 ? "it redirects" : parts.join(", ");
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 128)).slice(1, -1);
}
