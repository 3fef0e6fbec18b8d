/**
 * How many chunks are asked for beyond the one that is being sent. A busy machine lets a thread wait for its turn,
 * and each chunk takes two of those.
 */
const AHEAD = 2;

/** A chunk, or the end, with the reason if the stream broke. */
export type StreamPart =
  | { readonly kind: "chunk"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "end"; readonly error?: string };

export interface AskedStreamEvents {
  /** Asks for one more part, which comes after those that were asked for before. */
  readonly ask: () => void;
  /** Called once: the client has received everything, or no longer reads. */
  readonly ended: (isCancelled: boolean) => void;
}

/** A body whose chunks are asked for as its client reads them, with a few in advance. */
export class AskedStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #events: AskedStreamEvents;
  /** Parts that have come and were not read yet. */
  readonly #parts: StreamPart[] = [];
  #asked = 0;
  #arrived: PromiseWithResolvers<void> | undefined;

  constructor(events: AskedStreamEvents) {
    this.#events = events;
    this.body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => this.#pull(controller),
        cancel: () => events.ended(true),
      },
      { highWaterMark: 0 },
    );
  }

  receive(part: StreamPart): void {
    this.#asked -= 1;
    this.#parts.push(part);
    this.#arrived?.resolve();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (this.#asked + this.#parts.length <= AHEAD) {
      this.#asked += 1;
      this.#events.ask();
    }
    if (this.#parts.length === 0) {
      this.#arrived = Promise.withResolvers();
      await this.#arrived.promise;
    }
    const part = this.#parts.shift();
    if (part?.kind === "chunk") {
      controller.enqueue(part.bytes);
      return;
    }
    this.#events.ended(false);
    if (part?.error === undefined) controller.close();
    else controller.error(new Error(part.error));
  }
}
