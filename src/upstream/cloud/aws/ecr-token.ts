import { AwsV4Signer } from "aws4fetch";
import type { AwsCredentials } from "../../../config/cloud/cloud-credentials.ts";
import { isObject } from "../../../oci/json-object.ts";
import { CloudError, shownCode } from "../cloud-error.ts";
import { askCloud, type CloudResponse, jsonOf } from "../cloud-request.ts";
import type { IssuedToken } from "../issued-token.ts";
import type { AccessKeys } from "./access-keys.ts";
import { assumeRole } from "./assume-role.ts";
import { containerKeys } from "./container-keys.ts";
import { instanceKeys } from "./instance-keys.ts";
import { profileKeys } from "./profile-keys.ts";

const TARGETS = {
  ecr: "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
  "ecr-public": "SpencerFrontendService.GetAuthorizationToken",
} as const;

/** Where the clock of this machine is wrong, AWS says what time it is: signatures are valid for five minutes. */
const CLOCK_CODES = new Set([
  "InvalidSignatureException",
  "RequestTimeTooSkewed",
  "RequestExpired",
  "RequestInTheFuture",
  "SignatureDoesNotMatch",
]);
const MAX_SKEW_MS = 4 * 60_000;
const THROTTLED = /^(?:Throttling|TooManyRequests|RequestLimitExceeded|ServiceUnavailable)/;

/**
 * A token of Amazon ECR (`GetAuthorizationToken`), which is valid for twelve hours, for all registries that the
 * identity may read.
 *
 * @throws CloudError
 */
export async function ecrToken(source: AwsCredentials, signal?: AbortSignal): Promise<IssuedToken> {
  const keys = await keysOf(source, signal);
  let response = await requestToken(source, keys, undefined, signal);
  const code = codeOf(response);
  const skew = skewOf(response);
  if (response.status !== 200 && CLOCK_CODES.has(code) && Math.abs(skew) > MAX_SKEW_MS) {
    response = await requestToken(source, keys, skew, signal);
  }
  if (response.status !== 200) throw refused(source, response);
  return tokenIn(response);
}

function keysOf(
  { identity, connection }: AwsCredentials,
  signal: AbortSignal | undefined,
): Promise<AccessKeys> | AccessKeys {
  switch (identity.kind) {
    case "keys":
      return identity;
    case "web-identity":
      return assumeRole(identity, connection, signal).then(({ keys }) => keys);
    case "profile":
      return profileKeys(identity.file, identity.profile);
    case "container":
      return containerKeys(identity, signal);
    case "instance":
      return instanceKeys(identity.url, signal);
  }
}

/** @param skew how far AWS's clock is ahead, where that is known to matter, in milliseconds */
async function requestToken(
  { api, region, service, connection }: AwsCredentials,
  { accessKeyId, secretAccessKey, sessionToken }: AccessKeys,
  skew: number | undefined,
  signal: AbortSignal | undefined,
): Promise<CloudResponse> {
  const body = "{}";
  const datetime =
    skew === undefined
      ? {}
      : { datetime: new Date(Date.now() + skew).toISOString().replaceAll(/[:-]|\.\d{3}/g, "") };
  const { url, headers } = await new AwsV4Signer({
    method: "POST",
    url: api.href,
    headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": TARGETS[service] },
    body,
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    region,
    service,
    ...datetime,
  }).sign();
  return askCloud({
    method: "POST",
    url,
    headers: Object.fromEntries(headers),
    body,
    through: connection,
    signal,
  });
}

function codeOf({ text, status }: CloudResponse): string {
  if (status === 200) return "";
  const type = /"__type"\s*:\s*"([^"]{1,256})"/.exec(text)?.[1] ?? "";
  return shownCode(type.slice(type.lastIndexOf("#") + 1));
}

function skewOf({ headers }: CloudResponse): number {
  const theirs = Date.parse(headers.get("date") ?? "");
  return Number.isNaN(theirs) ? 0 : theirs - Date.now();
}

function refused({ service }: AwsCredentials, response: CloudResponse): CloudError {
  const { host, status } = response;
  const code = codeOf(response);
  const isPassing = THROTTLED.test(code);
  return new CloudError(`${host} gives no token (${code || status})${adviceFor(code, service)}`, {
    isPassing,
  });
}

function adviceFor(code: string, service: AwsCredentials["service"]): string {
  switch (code) {
    case "AccessDeniedException":
      return service === "ecr"
        ? ": the identity needs ecr:GetAuthorizationToken"
        : ": the identity needs ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken";
    case "UnrecognizedClientException":
    case "InvalidSignatureException":
    case "IncompleteSignatureException":
      return ": the access keys are wrong, or of another partition of AWS";
    case "ExpiredTokenException":
      return ": the session token has expired";
    default:
      return "";
  }
}

function tokenIn(response: CloudResponse): IssuedToken {
  const data = jsonOf(response)["authorizationData"];
  // ECR sends a list of one, ECR Public the one.
  const first: unknown = Array.isArray(data) ? data[0] : data;
  const encoded = isObject(first) ? first["authorizationToken"] : undefined;
  const expiresAt = isObject(first) ? first["expiresAt"] : undefined;
  const decoded = typeof encoded === "string" ? Buffer.from(encoded, "base64").toString() : "";
  const colon = decoded.indexOf(":");
  if (colon < 1 || colon === decoded.length - 1 || typeof expiresAt !== "number") {
    throw new CloudError(`${response.host} sent no authorizationToken with expiresAt`);
  }
  return {
    username: decoded.slice(0, colon),
    password: decoded.slice(colon + 1),
    // By their clock, where that is known: this one may be wrong.
    lifetime: expiresAt * 1000 - (Date.now() + skewOf(response)),
  };
}
