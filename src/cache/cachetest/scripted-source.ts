import type { Digest } from "../../oci/digest.ts";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import {
  parseRepositoryName,
  parseUpstreamName,
  type RepositoryName,
  type UpstreamName,
} from "../../oci/names.ts";
import type { NearLimits, Source, Transfer } from "../fetch/source.ts";

/** How a source behaves when it is opened. Without options, it sends its bytes from `offset` on. */
export interface Behaviour {
  /** The transfer breaks after this many bytes. */
  readonly breaksAfter?: number;
  /** The transfer sends this many bytes, and then nothing until it is cancelled. */
  readonly hangsAfter?: number;
  /** Opening fails with this error; with `breaksAfter`, the body does. */
  readonly fault?: Error;
  /** Sends from the first byte, whatever offset is requested. */
  readonly ignoresOffset?: boolean;
  /** Sends all from the offset on, whatever end is requested. */
  readonly ignoresEnd?: boolean;
  /** The size that it announces; that of its bytes if unset. */
  readonly size?: number | "unknown";
  /** The version that it names. */
  readonly version?: string;
  /** The bytes that it sends, in place of the source's own. */
  readonly bytes?: Uint8Array;
  /** It is a mirror: reported as corrupt, it is ejected, and the next request goes elsewhere. */
  readonly isMirror?: boolean;
  /** Where it breaks, it is given up because it sent too little. */
  readonly isTooSlow?: boolean;
}

/** A source of bytes in memory. It follows a script, one entry per `open`, and records its calls. */
export class ScriptedSource implements Source {
  readonly name: string;
  readonly upstream: UpstreamName;
  readonly vouchesFor: RepositoryName;
  /** Set for one beside the upstream. */
  near?: NearLimits;
  /** The offset of each call of `open`. */
  readonly offsets: number[] = [];
  readonly corruptReports: Fault[] = [];
  /** How often a mirror was left for the next host. */
  hostsLeft = 0;
  /** Bytes that were sent by all transfers together. */
  sent = 0;
  readonly #bytes: Uint8Array;
  readonly #script: Behaviour[];

  constructor(bytes: Uint8Array, script: Behaviour[] = [], name = "reg.test/app") {
    this.name = name;
    const upstream = parseUpstreamName(name.slice(0, name.indexOf("/")));
    if (!upstream) throw new Error(`${name} does not begin with the name of an upstream`);
    const repository = parseRepositoryName(name.slice(name.indexOf("/") + 1));
    if (!repository) throw new Error(`${name} does not end in the name of a repository`);
    this.upstream = upstream;
    this.vouchesFor = repository;
    this.#bytes = bytes;
    this.#script = [...script];
  }

  async open(offset: number, signal: AbortSignal, end?: number): Promise<Transfer> {
    this.offsets.push(offset);
    const {
      breaksAfter = Infinity,
      hangsAfter = Infinity,
      ...behaviour
    } = this.#script.shift() ?? {};
    if (behaviour.fault && breaksAfter === Infinity) throw behaviour.fault;
    const bytes = behaviour.bytes ?? this.#bytes;
    const start = behaviour.ignoresOffset ? 0 : offset;
    const size = behaviour.size ?? bytes.byteLength;
    const isPart = !behaviour.ignoresOffset && (start > 0 || end !== undefined);
    const limit = isPart && !behaviour.ignoresEnd ? (end ?? Infinity) : Infinity;
    const last = Math.min(limit, bytes.byteLength);
    let position = start;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (signal.aborted) return controller.error(signal.reason);
        if (position - start >= breaksAfter) {
          const fault = behaviour.isTooSlow ? tooSlow(this.name) : unreachable(this.name);
          return controller.error(behaviour.fault ?? fault);
        }
        if (position - start >= hangsAfter) return hang(signal);
        if (position >= last) return controller.close();
        const chunkEnd = Math.min(
          position + 10_000,
          start + Math.min(breaksAfter, hangsAfter),
          last,
        );
        this.sent += chunkEnd - position;
        controller.enqueue(bytes.slice(position, chunkEnd));
        position = chunkEnd;
      },
    });
    const reportCorrupt = (fault: Fault): boolean => {
      this.corruptReports.push(fault);
      return behaviour.isMirror === true;
    };
    const transfer = {
      start,
      body,
      reportCorrupt,
      ...(size === "unknown" ? {} : { size }),
      ...(isPart ? { end: last } : {}),
      ...(behaviour.version === undefined
        ? {}
        : { version: { host: "reg.test", tag: behaviour.version } }),
    };
    return behaviour.isMirror ? { ...transfer, nextHost: () => (this.hostsLeft += 1) } : transfer;
  }
}

export function unreachable(upstream: string): Fault {
  return new Fault({ kind: "upstream-unreachable", upstream, reason: "connection reset" });
}

/** The fault of a transfer that was given up because it sent too little. */
export function tooSlow(upstream: string): Fault {
  const waitedFor = "send more than 7 bytes";
  return new Fault({
    kind: "upstream-timeout",
    upstream,
    waitedFor,
    seconds: 30,
    isTooSlow: true,
  });
}

/** Pseudo-random bytes and their digest. The same seed gives the same bytes. */
export function sampleBlob(
  length: number,
  seed = 1,
): {
  bytes: Uint8Array<ArrayBuffer>;
  digest: Digest;
} {
  const bytes = new Uint8Array(length);
  let state = seed * 2_654_435_761;
  for (let position = 0; position < length; position += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes[position] = state >>> 24;
  }
  return { bytes, digest: digestOf(bytes) };
}

/** Never resolves, and rejects once the transfer is cancelled. */
function hang(signal: AbortSignal): Promise<void> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
