import type { Digest } from "../../oci/digest.ts";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Source, Transfer } from "../fill/source.ts";

/** What a source does when it is opened: its bytes from `offset` on, and how they end. */
export interface Behaviour {
  /** Bytes that are sent before the transfer breaks; unset for all of them. */
  readonly breaksAfter?: number;
  readonly fault?: Fault;
  /** Sends from the first byte, whatever offset is asked for. */
  readonly ignoresOffset?: boolean;
  readonly size?: number | "unknown";
  readonly bytes?: Uint8Array;
  /** Once blamed, it makes room for what the script does next. */
  readonly isMirror?: boolean;
}

/** A source of bytes in memory, for fills; it does in turn what it is told and counts what was asked. */
export class ScriptedSource implements Source {
  readonly name: string;
  readonly offsets: number[] = [];
  readonly blamed: Fault[] = [];
  sent = 0;
  readonly #bytes: Uint8Array;
  readonly #script: Behaviour[];

  constructor(bytes: Uint8Array, script: Behaviour[] = [], name = "reg.test/app") {
    this.name = name;
    this.#bytes = bytes;
    this.#script = [...script];
  }

  async open(offset: number, signal: AbortSignal): Promise<Transfer> {
    this.offsets.push(offset);
    const { breaksAfter = Infinity, ...behaviour } = this.#script.shift() ?? {};
    if (behaviour.fault && breaksAfter === Infinity) throw behaviour.fault;
    const bytes = behaviour.bytes ?? this.#bytes;
    const start = behaviour.ignoresOffset ? 0 : offset;
    const size = behaviour.size ?? bytes.byteLength;
    let position = start;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (signal.aborted) return controller.error(signal.reason);
        if (position - start >= breaksAfter) {
          return controller.error(behaviour.fault ?? unreachable(this.name));
        }
        if (position >= bytes.byteLength) return controller.close();
        const end = Math.min(position + 10_000, start + breaksAfter, bytes.byteLength);
        this.sent += end - position;
        controller.enqueue(bytes.slice(position, end));
        position = end;
      },
    });
    const blame = (fault: Fault): boolean => {
      this.blamed.push(fault);
      return behaviour.isMirror === true;
    };
    return { start, body, reportCorrupt: blame, ...(size === "unknown" ? {} : { size }) };
  }
}

export function unreachable(upstream: string): Fault {
  return new Fault({ kind: "upstream-unreachable", upstream, reason: "connection reset" });
}

/** Bytes that differ everywhere, and their digest. The same seed gives the same bytes. */
export function content(
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
