import { AsyncLocalStorage } from "node:async_hooks";
import { Span } from "./span.ts";
import { newTraceId, parseTraceparent } from "./trace-context.ts";

/**
 * Traces that clients ask for, per second: whatever they send, tracing takes little time. Those that are sampled here
 * are not limited, since `sample` does that.
 */
const MAX_ASKED_PER_SECOND = 50;

export interface TracerOptions {
  /** The part of the pulls without a `traceparent` that is traced: from 0 to 1. */
  readonly sample: number;
  /** Takes each span that has ended. */
  readonly ended: (span: Span) => void;
  /** From 0 to 1; for tests. */
  readonly random?: () => number;
  /** Milliseconds since the epoch, and by a clock that never goes back. */
  readonly clock?: { readonly wall: () => number; readonly monotonic: () => number };
}

const CLOCK = { wall: () => Date.now(), monotonic: () => performance.now() };

/** Decides which pulls are traced, and knows of what the code that runs now is a part. */
export class Tracer {
  readonly #options: TracerOptions;
  readonly #random: () => number;
  readonly #clock: NonNullable<TracerOptions["clock"]>;
  readonly #storage = new AsyncLocalStorage<Span>();
  #second = 0;
  #asked = 0;

  constructor(options: TracerOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#clock = options.clock ?? CLOCK;
  }

  /**
   * Begins the span of a pull, if it is traced: if the client traces it, or by chance.
   *
   * @param at when it began, in milliseconds since the epoch; absent if it begins now
   */
  pull(name: string, traceparent: string | null | undefined, at?: number): Span | undefined {
    const parent = traceparent ? parseTraceparent(traceparent) : undefined;
    // Who asks decides for the whole trace, also against it.
    const isTraced = parent
      ? parent.isSampled && this.#takesAsked()
      : this.#random() < this.#options.sample;
    if (!isTraced) return undefined;
    const { wall, monotonic } = this.#clock;
    // One offset for all of a trace: its spans must not be out of order when the clock is set.
    const offset = (at ?? wall()) - monotonic();
    const trace = {
      traceId: parent?.traceId ?? newTraceId(),
      now: () => offset + monotonic(),
      ended: this.#options.ended,
    };
    return new Span(trace, { name, kind: "server", parentId: parent?.spanId });
  }

  /** Runs `work` as a part of a span. What it starts finds it as `current`. */
  within<Result>(span: Span, work: () => Result): Result {
    return this.#storage.run(span, work);
  }

  /**
   * What the code that runs now is a part of. What a traced pull has left running, such as a probe that is repeated
   * for hours, is a part of nothing any more.
   */
  get current(): Span | undefined {
    const span = this.#storage.getStore();
    return span?.endedAt === undefined ? span : undefined;
  }

  #takesAsked(): boolean {
    const second = Math.floor(this.#clock.monotonic() / 1000);
    if (second !== this.#second) [this.#second, this.#asked] = [second, 0];
    this.#asked += 1;
    return this.#asked <= MAX_ASKED_PER_SECOND;
  }
}
