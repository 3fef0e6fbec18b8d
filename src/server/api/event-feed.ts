import type { Overview } from "../../api/overview.ts";
import type { Concealment } from "./concealment.ts";
import { encodeEvent, eventStream } from "./event-stream.ts";
import { ProblemError } from "./problem-details.ts";
import { ReaderLimit } from "./reader-limit.ts";

/** How often the overview is made while somebody reads it, in milliseconds. */
const OVERVIEW_MS = 2000;
/** How many events wait for a slow reader: of more, the oldest are left out. An overview tells all that is lost. */
const MAX_WAITING = 32;
/** How long what changes all the time waits for its next change, in milliseconds. */
const SOON_MS = 250;
/** When a page asks again after the cache was restarted, in milliseconds. */
const RETRY_MS = 2000;

interface MadeOverview {
  readonly said: string;
  readonly event: Uint8Array;
  readonly data: unknown;
}

type EventName = "overview" | "pull" | "job";

/** What a reader has not read yet. */
class Reader implements AsyncIterator<Uint8Array> {
  /** Set if whoever reads may not know what is private. */
  readonly concealment: Concealment | undefined;
  readonly #waiting: Uint8Array[] = [];
  readonly #onEnd: (reader: Reader) => void;
  /** The newest one that was not read: an older one says nothing any more. */
  #overview: Uint8Array | undefined;
  #wake: PromiseWithResolvers<void> | undefined;
  #hasEnded = false;

  constructor(onEnd: (reader: Reader) => void, concealment: Concealment | undefined) {
    this.#onEnd = onEnd;
    this.concealment = concealment;
  }

  add(event: Uint8Array): void {
    this.#waiting.push(event);
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    this.#wake?.resolve();
  }

  setOverview(event: Uint8Array): void {
    this.#overview = event;
    this.#wake?.resolve();
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      if (this.#hasEnded) return { done: true, value: undefined };
      const event = this.#overview ?? this.#waiting.shift();
      if (event) {
        if (event === this.#overview) this.#overview = undefined;
        return { done: false, value: event };
      }
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#hasEnded = true;
    this.#wake?.resolve();
    this.#onEnd(this);
    return { done: true, value: undefined };
  }
}

/**
 * Server-sent events for pages. While nobody reads, nothing is made. Each event becomes text once, however many
 * read it, and the overview is sent only if it says anything new.
 */
export class EventFeed {
  readonly #readers = new Set<Reader>();
  readonly #limit = new ReaderLimit("GET /api/v1/overview");
  #readOverview: () => Promise<Overview> = () => Promise.reject(new Error("there is none yet"));
  #timer: Timer | undefined;
  #making: Promise<void> | undefined;
  /** The last one, for those that come later. */
  #overview: MadeOverview | undefined;
  #telling: Promise<void> = Promise.resolve();
  readonly #soon = new Map<string, { readonly event: EventName; readonly data: unknown }>();
  #lastId = 0;
  #isClosed = false;

  /** @param read makes what is sent as `overview` */
  tellsOverview(read: () => Promise<Overview>): void {
    this.#readOverview = read;
  }

  /** How many read it. */
  get readers(): number {
    return this.#readers.size;
  }

  /**
   * @param concealment set if whoever reads may not know what is private
   * @throws ProblemError if too many read it, or the cache stops
   */
  open(concealment?: Concealment): Response {
    if (this.#isClosed) {
      const next = "ask again when it has started";
      throw new ProblemError({ status: 503, detail: "the cache is stopping", next });
    }
    const leave = this.#limit.enter();
    const reader = new Reader((ended) => {
      leave();
      this.#leave(ended);
    }, concealment);
    this.#readers.add(reader);
    reader.add(new TextEncoder().encode(`retry: ${RETRY_MS}\n\n`));
    if (this.#overview && this.#timer) this.#setOverview([reader], this.#overview);
    else void this.#tellOverview();
    this.#timer ??= setInterval(() => void this.#tellOverview(), OVERVIEW_MS).unref();
    return eventStream(reader);
  }

  publish(event: EventName, data: unknown): void {
    if (this.#readers.size === 0) return;
    const readers = [...this.#readers];
    const open = readers.filter(({ concealment }) => !concealment);
    if (open.length > 0) {
      const text = this.#encode(event, JSON.stringify(data));
      for (const reader of open) reader.add(text);
    }
    this.#tellConcealed(readers, data, (reader, told) => {
      // A list of which nothing is left says only that there was something.
      const isEmpty = Array.isArray(told) && told.length === 0;
      if (!isEmpty) reader.add(this.#encode(event, JSON.stringify(told)));
    });
  }

  #setOverview(readers: Iterable<Reader>, overview: MadeOverview): void {
    const all = [...readers];
    for (const reader of all) if (!reader.concealment) reader.setOverview(overview.event);
    this.#tellConcealed(all, overview.data, (reader, told) =>
      reader.setOverview(this.#encode("overview", JSON.stringify(told))),
    );
  }

  /** One after the other, so that nothing overtakes what came before. */
  #tellConcealed(
    readers: readonly Reader[],
    data: unknown,
    tell: (reader: Reader, told: unknown) => void,
  ): void {
    const concealed = readers.filter((reader) => reader.concealment);
    const concealment = concealed[0]?.concealment;
    if (!concealment) return;
    const before = this.#telling;
    const tellAll = async (): Promise<void> => {
      await before;
      const told = await concealment.answer(data).catch(() => undefined);
      if (told === undefined) return;
      for (const reader of concealed) tell(reader, told);
    };
    this.#telling = tellAll();
  }

  /** Tells what something has become, a quarter of a second later: what it was meanwhile is left out. */
  publishSoon(event: EventName, id: string, data: unknown): void {
    if (this.#readers.size === 0) return;
    const isFirst = this.#soon.size === 0;
    this.#soon.set(id, { event, data });
    if (!isFirst) return;
    setTimeout(() => {
      const all = [...this.#soon.values()];
      this.#soon.clear();
      for (const one of all) this.publish(one.event, one.data);
    }, SOON_MS).unref();
  }

  /** Ends all streams. */
  close(): void {
    this.#isClosed = true;
    for (const reader of this.#readers) void reader.return();
  }

  #leave(reader: Reader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#overview = undefined;
  }

  #tellOverview(): Promise<void> {
    this.#making ??= this.#makeOverview()
      // The next one is tried in two seconds; what is wrong is told where it is.
      .catch(() => {})
      .finally(() => {
        this.#making = undefined;
      });
    return this.#making;
  }

  async #makeOverview(): Promise<void> {
    const { at, ...rest } = await this.#readOverview();
    const said = JSON.stringify(rest);
    if (said === this.#overview?.said || this.#readers.size === 0) return;
    const event = this.#encode("overview", `{"at":${at},${said.slice(1)}`);
    this.#overview = { said, event, data: { at, ...rest } };
    this.#setOverview(this.#readers, this.#overview);
  }

  #encode(event: EventName, json: string): Uint8Array {
    this.#lastId += 1;
    return encodeEvent({ event, id: String(this.#lastId), json });
  }
}
