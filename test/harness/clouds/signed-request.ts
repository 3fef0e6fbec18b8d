import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** How a request to AWS fails to be authentic, by the code that AWS answers; `undefined` if it is. */
export type SignatureProblem =
  | "MissingAuthenticationTokenException"
  | "IncompleteSignatureException"
  | "UnrecognizedClientException"
  | "InvalidSignatureException";

export interface ExpectedSignature {
  readonly region: string;
  readonly service: string;
  /** By access key ID. */
  readonly keys: ReadonlyMap<string, { readonly secret: string; readonly session?: string }>;
  /** The time there, in milliseconds of the epoch. */
  readonly now: number;
}

const MAX_SKEW_MS = 5 * 60_000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([a-z\d;-]+), Signature=([a-f\d]{64})$/;

/** Verifies AWS Signature Version 4, written from its description and not from the program's library. */
export function signatureProblem(
  request: Request,
  body: string,
  { region, service, keys, now }: ExpectedSignature,
): SignatureProblem | undefined {
  const header = request.headers.get("authorization");
  if (header === null) return "MissingAuthenticationTokenException";
  const match = AUTHORIZATION.exec(header);
  const date = request.headers.get("x-amz-date") ?? "";
  if (!match || !/^\d{8}T\d{6}Z$/.test(date)) return "IncompleteSignatureException";
  const [, id = "", day = "", scopeRegion = "", scopeService = "", names = "", signature = ""] =
    match;
  const signed = names.split(";");
  const isComplete =
    signed.includes("host") &&
    signed.includes("x-amz-date") &&
    [...request.headers.keys()].every(
      (name) => !name.startsWith("x-amz-") || signed.includes(name),
    );
  if (!isComplete || date.slice(0, 8) !== day) return "IncompleteSignatureException";
  const key = keys.get(id);
  const session = request.headers.get("x-amz-security-token") ?? undefined;
  if (!key || key.session !== session) return "UnrecognizedClientException";
  if (scopeRegion !== region || scopeService !== service) return "InvalidSignatureException";
  const time = Date.parse(
    date.replace(/^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/, "$1-$2-$3T$4:$5:$6Z"),
  );
  if (Math.abs(time - now) > MAX_SKEW_MS) return "InvalidSignatureException";
  const url = new URL(request.url);
  const canonical = [
    request.method,
    url.pathname,
    [...url.searchParams]
      .map((pair) => pair.map(encodeURIComponent).join("="))
      .toSorted()
      .join("&"),
    ...signed.map((name) => `${name}:${(request.headers.get(name) ?? "").trim()}`),
    "",
    names,
    sha256(body),
  ].join("\n");
  const text = [
    "AWS4-HMAC-SHA256",
    date,
    `${day}/${region}/${service}/aws4_request`,
    sha256(canonical),
  ].join("\n");
  const secrets = [day, region, service, "aws4_request"];
  const signingKey = secrets.reduce<Buffer>(hmac, Buffer.from(`AWS4${key.secret}`));
  const wanted = hmac(signingKey, text);
  return timingSafeEqual(wanted, Buffer.from(signature, "hex"))
    ? undefined
    : "InvalidSignatureException";
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
