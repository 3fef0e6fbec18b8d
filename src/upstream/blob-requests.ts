import type { Digest } from "../oci/digest.ts";
import { Fault } from "../oci/fault.ts";
import type { RepositoryName } from "../oci/names.ts";
import type { BlobOptions, BlobTransfer } from "./blob-transfer.ts";
import type { Failover } from "./failover.ts";
import { type Host, reportCorrupt } from "./hosts.ts";
import { QUIRKS } from "./quirks.ts";
import type { Turns } from "./rates/turns.ts";
import type { RegistryTransport } from "./registry-transport.ts";
import type { PermitKind } from "./transport/concurrency-limiter.ts";
import {
  checkFullContent,
  checkPartialContent,
  isComplete,
  rangeHeader,
} from "./transport/content-range.ts";
import type { DialResponse } from "./transport/dialer.ts";

export interface BlobRequest extends BlobOptions {
  readonly permit: PermitKind;
  readonly repository: RepositoryName;
  readonly digest: Digest;
  /** The first byte to fetch. */
  readonly offset: number;
  readonly turns?: Turns;
}

/** distribution-spec v1.1.1, "Pulling blobs". The bytes are not verified here. */
export function openBlob(
  failover: Failover,
  { observe }: Pick<RegistryTransport, "observe">,
  request: BlobRequest,
): Promise<BlobTransfer & Pick<DialResponse, "ended">> {
  const { repository, digest, offset, end, avoided = new Set(), ...options } = request;
  const range = rangeHeader(offset, end);
  return failover.send(
    { resource: "blob", name: `${repository}@${digest}` },
    {
      kind: "blob",
      method: "GET",
      path: `blobs/${digest}`,
      repository,
      headers: range === undefined ? {} : { range },
      avoided,
      ...options,
    },
    async ({ status, headers, body, ended, host }) => {
      const extent =
        range !== undefined && !isComplete(status, headers)
          ? checkPartialContent(headers, offset, end)
          : checkFullContent(status, headers);
      if (typeof extent === "string") {
        await body?.cancel();
        throw failover.invalidResponse(extent);
      }
      const report = (fault: Fault): boolean => reportCorrupt(host, fault, observe);
      const transfer = {
        ...extent,
        ...versionOf(host, headers),
        body: body ?? emptyBody(),
        ended,
        reportCorrupt: report,
      };
      if (!host.isMirror) return transfer;
      return { ...transfer, nextHost: () => void avoided.add(host.settings.url.href) };
    },
  );
}

/** See `Registry.probeBlob`. */
export async function probeBlob(
  failover: Failover,
  transport: Pick<RegistryTransport, "observe">,
  repository: RepositoryName,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<{ readonly size?: number }> {
  try {
    const range = QUIRKS.blobProbeRange;
    const request = { permit: "metadata", repository, digest, ...range, signal } as const;
    const { size, body } = await openBlob(failover, transport, request);
    await body.cancel();
    return size === undefined ? {} : { size };
  } catch (error) {
    if (!(error instanceof Fault) || error.detail.kind !== "invalid-range") throw error;
    // An empty blob exists, and has no first byte.
    return error.detail.size === undefined ? {} : { size: error.detail.size };
  }
}

/** A weak ETag says nothing of bytes (RFC 9110 section 8.8.1). */
function versionOf({ settings }: Host, headers: Headers): Pick<BlobTransfer, "version"> {
  const etag = headers.get("etag");
  const tag = etag?.startsWith('"') ? etag : headers.get("last-modified");
  return tag === null ? {} : { version: { host: settings.url.host, tag } };
}

/** For the response with an empty blob, which may have no body at all. */
function emptyBody(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (stream) => stream.close() });
}
