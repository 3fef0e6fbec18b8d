import { type Digest, digestAlgorithm } from "../oci/digest.ts";
import type { Accept } from "../oci/accept.ts";
import { Fault } from "../oci/fault.ts";
import type { Tag } from "../oci/names.ts";
import { type RangeRequest, resolveRange } from "../oci/range.ts";
import type { Place } from "../store/index.ts";
import { BackOff, rest } from "./back-off.ts";
import type { BlobHead, GrowingBlob } from "./blobs.ts";
import type { ManifestAnswer } from "./manifest-pulls.ts";
import { parseFrom } from "./manifests.ts";
import { BYPASS } from "./note.ts";
import type { Transfer } from "./source.ts";
import { toFault } from "./transient.ts";
import { type Upstream, UpstreamSource } from "./upstream.ts";

/** Bytes at the end that nobody gets before the digest is known to be right. */
const HELD_BACK = 64 * 1024;

/** What the owner wants passed through: asked for each time, checked on the way, and never stored. */
export class Passing {
  /** @throws Fault */
  async manifest(
    upstream: Upstream,
    { repository }: Place,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestAnswer> {
    const { bytes, mediaType, digest } = await upstream.registry.getManifest(repository, reference);
    const manifest = parseFrom(upstream, bytes, mediaType);
    if (!accept.allows(manifest.mediaType)) {
      throw new Fault({ kind: "not-acceptable", mediaType: manifest.mediaType });
    }
    return { manifest: { digest, mediaType: manifest.mediaType, bytes }, note: BYPASS };
  }

  /** @throws Fault */
  async blobHead(upstream: Upstream, { repository }: Place, digest: Digest): Promise<BlobHead> {
    const { size } = await upstream.registry.probeBlob(repository, digest);
    if (size !== undefined) return { size, note: BYPASS };
    const reason = `it does not tell the size of ${digest}`;
    throw new Fault({ kind: "upstream-untrue", upstream: upstream.settings.name, reason });
  }

  /** @throws Fault */
  async blob(
    upstream: Upstream,
    place: Place,
    digest: Digest,
    request?: RangeRequest,
  ): Promise<GrowingBlob> {
    const source = new UpstreamSource(upstream, place, digest);
    if (request) return this.#part(upstream, source, digest, request);
    const abort = new AbortController();
    const first = await source.open(0, abort.signal);
    const { size } = first;
    return {
      kind: "growing",
      digest,
      note: BYPASS,
      ...(size === undefined ? {} : { size }),
      body: (following) => stream(verified(source, digest, first, abort), abort, following),
    };
  }

  /** A part has no digest: who asked for it has to check the whole. */
  async #part(
    upstream: Upstream,
    source: UpstreamSource,
    digest: Digest,
    request: RangeRequest,
  ): Promise<GrowingBlob> {
    const { size } = await upstream.registry.probeBlob(source.repository, digest);
    const range = size === undefined ? undefined : resolveRange(request, size);
    if (size === undefined || !range) {
      const reason = size === undefined ? "the size is not known" : `the blob has ${size} bytes`;
      throw new Fault({ kind: "invalid-range", reason, ...(size === undefined ? {} : { size }) });
    }
    const { start, body } = await source.range(range);
    const abort = new AbortController();
    const pieces = cut(body, range.first - start, range.last + 1 - range.first);
    return {
      kind: "growing",
      digest,
      size,
      range,
      note: BYPASS,
      body: (following) => stream(pieces, abort, following),
    };
  }
}

/** The blob's bytes, resumed where a transfer breaks; the last ones only if the digest is right. */
async function* verified(
  source: UpstreamSource,
  digest: Digest,
  first: Transfer,
  abort: AbortController,
): AsyncGenerator<Uint8Array> {
  const hash = new Bun.CryptoHasher(digestAlgorithm(digest));
  const backOff = new BackOff({});
  let received = 0;
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let transfer: Transfer | undefined = first;
  for (;;) {
    try {
      transfer ??= await source.open(received, abort.signal);
      for await (const chunk of cut(transfer.body, received - transfer.start, Infinity)) {
        backOff.progressed();
        received += chunk.byteLength;
        hash.update(chunk);
        held.push(chunk);
        heldBytes += chunk.byteLength;
        while (heldBytes - (held[0]?.byteLength ?? 0) >= HELD_BACK) {
          const next = held.shift();
          if (!next) break;
          heldBytes -= next.byteLength;
          yield next;
        }
      }
      if (first.size === undefined || received >= first.size) break;
    } catch (error) {
      const fault = toFault(error);
      const pause = isPassing(fault) ? backOff.pause(fault) : undefined;
      if (abort.signal.aborted || pause === undefined) throw fault;
      await rest(pause, abort.signal);
    }
    transfer = undefined;
  }
  const actual = `${digestAlgorithm(digest)}:${hash.digest("hex")}`;
  if (actual !== digest) {
    const reason = `what it sent as ${digest} has another digest`;
    throw new Fault({ kind: "upstream-untrue", upstream: source.name, reason });
  }
  yield* held;
  held = [];
}

function isPassing({ detail }: Fault): boolean {
  return (
    detail.kind === "upstream-unreachable" ||
    detail.kind === "upstream-timeout" ||
    detail.kind === "upstream-failed" ||
    detail.kind === "upstream-untrue"
  );
}

/** A body without its first bytes, and at most so many of the others. */
async function* cut(
  body: ReadableStream<Uint8Array>,
  skip: number,
  length: number,
): AsyncGenerator<Uint8Array> {
  let [toSkip, left] = [skip, length];
  for await (const chunk of body) {
    const piece = chunk.subarray(Math.min(toSkip, chunk.byteLength)).subarray(0, left);
    toSkip -= Math.min(toSkip, chunk.byteLength);
    left -= piece.byteLength;
    if (piece.byteLength > 0) yield piece;
    if (left <= 0) return;
  }
}

/** A stream that stalls where it fails: an error would reset the connection, on which containerd gives up. */
function stream(
  pieces: AsyncGenerator<Uint8Array>,
  abort: AbortController,
  { giveUp, ended }: Parameters<GrowingBlob["body"]>[0],
): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next();
          if (value) {
            sent += value.byteLength;
            controller.enqueue(value);
          }
          if (!done) return;
          ended?.(sent);
          controller.close();
        } catch (error) {
          giveUp(toFault(error));
          await new Promise<void>((resolve) =>
            abort.signal.addEventListener("abort", () => resolve()),
          );
        }
      },
      async cancel() {
        ended?.(sent);
        abort.abort(new Fault({ kind: "storage", reason: "nobody reads any more" }));
        await pieces.return(undefined).catch(() => {});
      },
    },
    { highWaterMark: 0 },
  );
}
