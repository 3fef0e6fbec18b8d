import type { NodeAnswers } from "../listen/node-answers.ts";
import type { FileSend } from "../pull/file-sends.ts";
import type { ReceivedRequest, ResponseSender } from "../pull/incoming-request.ts";
import type { CachedResponse, Snapshot } from "../pull/response-cache.ts";
import type { Answer, Kept, Question, SendEvent, ToWorker } from "./messages.ts";
import type { Transit } from "./transit.ts";

/** A client that leaves shows in what the worker tells of the body. */
const NEVER: AbortSignal = new AbortController().signal;

type Send = Omit<FileSend, "signal" | "isOpen">;

export interface ExchangeOptions {
  readonly question: Question;
  readonly answers: NodeAnswers;
  readonly post: (message: ToWorker) => void;
  readonly transit: Transit;
  /** Nothing more is to be sent, or told. */
  readonly ended: () => void;
}

/** One request that a worker received, from the question to the end of its body. */
export class Exchange implements ResponseSender {
  readonly #options: ExchangeOptions;
  #isStream = false;
  #isAbandoned = false;
  #send: Send | undefined;
  #kept: Kept | undefined;
  #reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "read" | "cancel"> | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const { question, post, ended } = this.#options;
    const { id } = question;
    try {
      const response = await this.#respond();
      if (this.#isAbandoned) {
        // A stream may occupy a connection to the upstream.
        if (this.#isStream) await response.body?.cancel();
        return;
      }
      post(await this.#answer(response));
      if (!this.#reader && !this.#send) ended();
    } catch (error) {
      post({ kind: "failed", id, error: error instanceof Error ? error.message : String(error) });
      ended();
    }
  }

  streams(): void {
    this.#isStream = true;
  }

  follow(send: Send): void {
    if (this.#isAbandoned) send.ended(0);
    else this.#send = send;
  }

  keep(
    {
      path,
      digest,
      size,
      accept,
      from,
      until,
      route,
      access,
      viewer,
      principal,
      held,
    }: CachedResponse,
    snapshot: Snapshot,
  ): void {
    if (!("repo" in route)) return;
    // An upstream is an object of this thread.
    const plain = { ...route, upstream: undefined };
    const forAccept = accept === undefined ? {} : { accept };
    const by = {
      access,
      ...(viewer === undefined ? {} : { viewer }),
      ...(principal === undefined ? {} : { principal }),
      ...(held === undefined ? {} : { held }),
    };
    this.#kept = { path, digest, size, from, until, route: plain, snapshot, ...forAccept, ...by };
  }

  /** One more chunk of the stream is asked for. */
  async pull(): Promise<void> {
    const reader = this.#reader;
    // Another one, that was asked for before, was the last.
    if (!reader) return;
    const { question, post, transit } = this.#options;
    const { id } = question;
    try {
      // Reads that overlap are answered in their order.
      const next = await reader.read();
      if (this.#isAbandoned || !this.#reader) return;
      if (next.value) {
        // A copy in any case: the chunk may be a part of what is written and sent elsewhere.
        const bytes = transit.put(next.value) ?? new Uint8Array(next.value);
        post({ kind: "chunk", id, bytes });
        return;
      }
      post({ kind: "end", id });
    } catch (error) {
      if (!this.#reader) return;
      post({ kind: "end", id, error: error instanceof Error ? error.message : String(error) });
    }
    this.#reader = undefined;
    this.#options.ended();
  }

  told(event: SendEvent): void {
    if (event.kind === "broke-off") {
      this.#send?.brokeOff?.(event.bytes, event.isExact);
      return;
    }
    this.#send?.ended(event.bytes);
    this.#options.ended();
  }

  /** The client has left, or the worker has ended. */
  abandon(): void {
    if (this.#isAbandoned) return;
    this.#isAbandoned = true;
    this.#send?.ended(0);
    this.#reader?.cancel().catch(() => {});
    this.#options.ended();
  }

  #respond(): Response | Promise<Response> {
    const { question, answers, post } = this.#options;
    const { id, target, url, method, headers, address } = question;
    if (typeof target === "string") return answers.page(target, { url, method, address });
    const request: ReceivedRequest = {
      url,
      method,
      headers: new Headers(headers.map(([name, value]): [string, string] => [name, value])),
      signal: NEVER,
    };
    return answers.pull({
      request,
      segments: target,
      address,
      isOpen: () => !this.#isAbandoned,
      setIdleTimeout: (seconds) => post({ kind: "idle-timeout", id, seconds }),
      port: answers.port,
      sender: this,
    });
  }

  async #answer(response: Response): Promise<Answer> {
    const { question } = this.#options;
    const { id } = question;
    if (this.#isStream) this.#reader = response.body?.getReader();
    const followed = this.#send && { followed: this.#send.size };
    const kept = this.#kept && { kept: this.#kept };
    const { status } = response;
    // Read before the body: its type would be added to them.
    const headers = [...response.headers];
    // Of a file, this reads nothing.
    const body = this.#reader
      ? "stream"
      : hasBody(question, response)
        ? await response.blob()
        : null;
    return { kind: "answer", id, status, headers, body, ...followed, ...kept };
  }
}

/** Without a body, a response may state the length of one, which an empty body would replace. */
function hasBody({ method }: Question, { status }: Response): boolean {
  return method !== "HEAD" && status !== 304;
}
