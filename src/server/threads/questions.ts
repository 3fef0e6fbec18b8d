import type { NodeAnswers } from "../listen/node-answers.ts";
import type { FileSends } from "../pull/file-sends.ts";
import type { IncomingRequest } from "../pull/incoming-request.ts";
import type { ResponseKey } from "../pull/response-cache.ts";
import { AskedStream } from "./asked-stream.ts";
import type { KnownHits } from "./known-hits.ts";
import type { Answer, FromWorker, Question, ToWorker } from "./messages.ts";
import type { Transit } from "./transit.ts";

/** What the main thread sends about a question. */
export type Reply = Extract<
  ToWorker,
  { readonly kind: "answer" | "idle-timeout" | "chunk" | "end" | "failed" }
>;

/** A question without an answer yet, or whose body is still coming. */
interface Asked {
  readonly answered: PromiseWithResolvers<Response>;
  /** Absent for a page. */
  readonly incoming?: IncomingRequest;
  readonly key?: ResponseKey;
  stream?: AskedStream;
}

export interface QuestionsOptions {
  readonly post: (message: FromWorker) => void;
  readonly known: KnownHits;
  readonly fileSends: FileSends;
  readonly transit: Transit;
}

/**
 * What a worker asks the main thread: everything but what it has sent a moment ago. The main thread makes the
 * response, and the worker sends it, a file without reading it.
 */
export class Questions {
  readonly #options: QuestionsOptions;
  readonly #asked = new Map<number, Asked>();
  #lastId = 0;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  /** @param port the number by which the main thread knows the port */
  answersOf(port: number): NodeAnswers {
    const identity = {};
    return {
      port: undefined,
      pull: (incoming) =>
        this.#options.known.answer(incoming, identity) ?? this.#pull(port, incoming, identity),
      page: (target, { url, method, address }) =>
        this.#ask({ port, target, url, method, address, headers: [] }, {}),
    };
  }

  onReply(reply: Reply): void {
    const asked = this.#asked.get(reply.id);
    // It may have been left by its client meanwhile.
    if (!asked) {
      if (reply.kind === "chunk" && "place" in reply.bytes)
        this.#options.transit.release(reply.bytes);
      return;
    }
    switch (reply.kind) {
      case "answer":
        asked.answered.resolve(this.#response(reply, asked));
        break;
      case "failed":
        this.#asked.delete(reply.id);
        asked.answered.reject(new Error(reply.error));
        break;
      case "idle-timeout":
        asked.incoming?.setIdleTimeout(reply.seconds);
        break;
      case "chunk": {
        const { bytes } = reply;
        const chunk = "place" in bytes ? this.#options.transit.take(bytes) : bytes;
        asked.stream?.receive({ kind: "chunk", bytes: chunk });
        break;
      }
      case "end":
        asked.stream?.receive(reply);
        break;
    }
  }

  #pull(port: number, incoming: IncomingRequest, identity: object): Promise<Response> {
    const { request, segments, address } = incoming;
    const { url, method } = request;
    const headers = [...request.headers];
    return this.#ask(
      { port, target: segments, url, method, address, headers },
      { incoming, key: { url, segments, port: identity } },
    );
  }

  #ask(
    question: Omit<Question, "kind" | "id">,
    asked: Pick<Asked, "incoming" | "key">,
  ): Promise<Response> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answered = Promise.withResolvers<Response>();
    this.#asked.set(id, { ...asked, answered });
    this.#options.post({ kind: "ask", id, ...question });
    return answered.promise;
  }

  #response({ id, status, headers, body, followed, kept }: Answer, asked: Asked): Response {
    const { incoming, key } = asked;
    const init = {
      status,
      headers: headers.map(([name, value]): [string, string] => [name, value]),
    };
    if (body === "stream") {
      asked.stream = this.#stream(id);
      return new Response(asked.stream.body, init);
    }
    this.#asked.delete(id);
    if (incoming && followed !== undefined) this.#follow(id, followed, incoming);
    if (kept && key && body) this.#options.known.add(key, kept, body, new Headers(init.headers));
    return new Response(body, init);
  }

  #follow(id: number, size: number, { request, isOpen }: IncomingRequest): void {
    const { post, fileSends } = this.#options;
    fileSends.follow({
      size,
      signal: request.signal,
      isOpen,
      ended: (bytes) => post({ kind: "sent", id, bytes }),
      brokeOff: (bytes, isExact) => post({ kind: "broke-off", id, bytes, isExact }),
    });
  }

  #stream(id: number): AskedStream {
    const { post } = this.#options;
    return new AskedStream({
      ask: () => post({ kind: "pull", id }),
      ended: (isCancelled) => {
        this.#asked.delete(id);
        if (isCancelled) post({ kind: "cancel", id });
      },
    });
  }
}
