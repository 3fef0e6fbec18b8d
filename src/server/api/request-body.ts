import { ProblemError } from "./problem-details.ts";

/** Limit of request bodies, in bytes: far above what most requests need. */
const MAX_BODY = 64 * 1024;

/**
 * The JSON of a request's body; an empty object where it is empty.
 *
 * @throws ProblemError if it is no JSON, is not sent as JSON, or is too large
 */
export async function readJson(request: Request, maxBody = MAX_BODY): Promise<unknown> {
  // A page of another origin can send this type only after a CORS preflight, which is refused.
  const type = request.headers.get("content-type") ?? "";
  if (!isJson(type)) {
    const detail =
      type === ""
        ? "the body has no Content-Type"
        : `the body is ${JSON.stringify(type.slice(0, 100))}`;
    const next = "send JSON with Content-Type: application/json";
    throw new ProblemError({ status: 415, detail, next });
  }
  const text = await readText(request, maxBody);
  try {
    return JSON.parse(text || "{}");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const detail = `the body is not valid JSON (${why})`;
    throw new ProblemError({ status: 400, detail, next: "send a JSON object" }, { cause });
  }
}

/** Parameters may follow. JSON is UTF-8 (RFC 8259), so another charset would be read as something else. */
function isJson(type: string): boolean {
  const [essence = "", ...parameters] = type.split(";").map((part) => part.trim().toLowerCase());
  const charset = parameters.find((one) => one.startsWith("charset="));
  return (
    essence === "application/json" && (charset === undefined || /^charset="?utf-8"?$/.test(charset))
  );
}

/** A chunked body does not say how large it is, so its bytes are counted. */
async function readText({ headers, body }: Request, maxBody: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = Number(headers.get("content-length") ?? 0);
  if (length <= maxBody) {
    length = 0;
    try {
      for await (const chunk of body ?? []) {
        length += chunk.byteLength;
        if (length > maxBody) break;
        chunks.push(chunk);
      }
    } catch (cause) {
      // Nobody is there to read this.
      const detail = "the connection ended before all of the body was there";
      throw new ProblemError({ status: 400, detail, next: "send it again" }, { cause });
    }
  }
  if (length <= maxBody) return Buffer.concat(chunks).toString("utf8");
  const detail = `the body is larger than ${maxBody} bytes`;
  throw new ProblemError({ status: 413, detail, next: "send less in one request" });
}
