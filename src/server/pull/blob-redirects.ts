import type { Digest } from "../../oci/digest.ts";
import { type RangeRequest, resolveRange, type SeveralRanges } from "../../oci/range.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import type { RequestContext } from "./request-context.ts";

/** Where clients can get stored blobs without this machine. */
export interface BlobRedirects {
  /** Responses with fewer bytes are sent from here. */
  readonly from: number;
  /**
   * Takes no longer than a signature.
   *
   * @param host what the client calls this cache, with its port
   * @returns `undefined` if the blob is to be sent from here. Never rejects
   */
  of(digest: Digest, host: string): Promise<URL | undefined>;
}

/** A response that sends a client elsewhere for a stored blob; `undefined` if it is to be sent from here. */
export async function redirectResponse(
  redirects: BlobRedirects,
  { digest, size }: StoredBlob,
  request: RangeRequest | SeveralRanges | undefined,
  context: RequestContext,
): Promise<Response | undefined> {
  if (request?.kind === "several") return undefined;
  const range = request ? resolveRange(request, size) : { first: 0, last: size - 1 };
  if (!range || range.last + 1 - range.first < redirects.from) return undefined;
  const url = await redirects.of(digest, context.request.headers.get("host") ?? "");
  if (!url) return undefined;
  // The client sends its Range again (RFC 9110 section 15.4), and asks here for the rest if the transfer breaks.
  const headers = { location: url.href, "cache-control": "no-store" };
  return new Response(null, { status: 307, headers });
}
