import { retryAfter } from "../../oci/retry-after.ts";
import { exportRequest, type Resource } from "./otlp.ts";
import type { Span } from "./span.ts";

/** More spans are dropped: the receiver is away, or slow. About a kilobyte each. */
const MAX_QUEUED = 2048;
/** Spans per request: encoding them takes two milliseconds. */
const MAX_BATCH = 256;
/** How long a span waits for others, in milliseconds. */
const DELAY_MS = 5000;
const TIMEOUT_MS = 10_000;
/** How long the end of the process waits for what is left, in milliseconds. */
const CLOSE_MS = 1000;
const MIN_BACK_OFF_MS = 1000;
const MAX_BACK_OFF_MS = 60_000;

/** OTLP/HTTP: "retryable response codes". */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export interface ExporterOptions {
  readonly url: URL;
  /** CA certificates to trust in addition to the public ones, as PEM text. */
  readonly ca?: string;
  /** Those of each request, such as an authorization; read for each. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
  readonly resource: Resource;
  readonly version: string;
  readonly observer: ExporterObserver;
  /** How long a span waits for others, in milliseconds. */
  readonly delayMs?: number;
}

export interface ExporterObserver {
  exported(spans: number): void;
  dropped(spans: number): void;
  /** Called when what is exported does not arrive, once until it does. */
  failed(reason: string): void;
  /** Called when it arrives again. */
  recovered(): void;
}

type Outcome = { readonly kind: "done" } | { readonly kind: "later"; readonly afterMs?: number };

/** Sends spans to an OTLP/HTTP receiver, in batches. What cannot be sent soon is dropped: a pull never waits for it. */
export class Exporter implements AsyncDisposable {
  readonly #options: ExporterOptions;
  #queue: Span[] = [];
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  #backOffMs = 0;
  #isFailing = false;
  readonly #closing = new AbortController();

  constructor(options: ExporterOptions) {
    this.#options = options;
  }

  add(span: Span): void {
    if (this.#queue.length >= MAX_QUEUED) {
      this.#options.observer.dropped(1);
      return;
    }
    this.#queue.push(span);
    const { delayMs = DELAY_MS } = this.#options;
    if (this.#backOffMs === 0 && this.#queue.length >= MAX_BATCH) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), this.#backOffMs || delayMs).unref();
  }

  /** Sends what is left, if that takes no time: a receiver that hangs must not hold up the end of the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    const timer = setTimeout(() => this.#closing.abort(), CLOSE_MS);
    await this.#sending;
    await this.#sendAll();
    clearTimeout(timer);
    clearTimeout(this.#timer);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, MAX_BATCH);
      const outcome = await this.#send(batch);
      if (outcome.kind === "later") {
        this.#backOff(outcome.afterMs);
        return;
      }
      this.#backOffMs = 0;
      this.#queue = this.#queue.slice(batch.length);
    }
  }

  #backOff(afterMs: number | undefined): void {
    const doubled = Math.max(MIN_BACK_OFF_MS, this.#backOffMs * 2);
    this.#backOffMs = Math.min(MAX_BACK_OFF_MS, Math.max(afterMs ?? 0, doubled));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), this.#backOffMs).unref();
  }

  /** Never rejects. */
  async #send(batch: readonly Span[]): Promise<Outcome> {
    const signal = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), this.#closing.signal]);
    const { url, ca, resource, version, observer } = this.#options;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { ...(await this.#options.headers()), "content-type": "application/json" },
        body: JSON.stringify(exportRequest(resource, { name: "entrepot", version }, batch)),
        redirect: "manual",
        ...(ca === undefined ? {} : { tls: { ca } }),
        signal,
      });
      const text = await response.text();
      if (response.ok) {
        const rejected = Math.min(batch.length, rejectedSpans(text));
        if (rejected > 0) observer.dropped(rejected);
        observer.exported(batch.length - rejected);
        this.#succeeded();
        return { kind: "done" };
      }
      this.#failed(`${url.href} answers ${response.status}`);
      if (RETRYABLE.has(response.status)) return later(response.headers.get("retry-after"));
    } catch (error) {
      this.#failed(`${url.href}: ${error instanceof Error ? error.message : String(error)}`);
      return { kind: "later" };
    }
    observer.dropped(batch.length);
    return { kind: "done" };
  }

  #failed(reason: string): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#options.observer.failed(reason);
  }

  #succeeded(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#options.observer.recovered();
  }
}

function later(header: string | null): Outcome {
  return { kind: "later", afterMs: (retryAfter(header, Date.now()) ?? 0) * 1000 };
}

/** A receiver may take a part of the spans only: "partial success". */
function rejectedSpans(text: string): number {
  const count = /"rejectedSpans"\s*:\s*"?(\d{1,9})/.exec(text)?.[1];
  return count === undefined ? 0 : Number(count);
}
