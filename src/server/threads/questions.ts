import type { NodeAnswers } from "../listen/node-answers.ts";
import type { FileSends } from "../pull/file-sends.ts";
import type { IncomingRequest } from "../pull/pull-api.ts";
import type { ResponseKey } from "../pull/response-cache.ts";
import type { KnownHits } from "./known-hits.ts";
import type { Answer, FromWorker, Question, ToWorker } from "./messages.ts";
import type { Transit } from "./transit.ts";

/** What the main thread sends about a question. */
export type Reply = Extract<
  ToWorker,
  { readonly kind: "answer" | "idle-timeout" | "chunk" | "end" | "failed" }
>;

type StreamPart = Extract<Reply, { readonly kind: "chunk" | "end" }>;

/** A question without an answer yet, or whose body is still coming. */
interface Asked {
  readonly answered: PromiseWithResolvers<Response>;
  /** Absent for a page. */
  readonly incoming?: IncomingRequest;
  readonly key?: ResponseKey;
  /** Resolves with the next part of the stream for which the client waits. */
  next?: PromiseWithResolvers<StreamPart>;
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
      case "chunk":
      case "end":
        asked.next?.resolve(reply);
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
    if (body === "stream") return new Response(this.#stream(id, asked), init);
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

  #stream(id: number, asked: Asked): ReadableStream<Uint8Array> {
    const { post, transit } = this.#options;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          asked.next = Promise.withResolvers();
          post({ kind: "pull", id });
          const part = await asked.next.promise;
          if (part.kind === "chunk") {
            const { bytes } = part;
            const chunk = "place" in bytes ? transit.take(bytes) : bytes;
            if (this.#asked.has(id)) controller.enqueue(chunk);
            return;
          }
          if (!this.#asked.has(id)) return;
          this.#asked.delete(id);
          if (part.error === undefined) controller.close();
          else controller.error(new Error(part.error));
        },
        cancel: () => {
          this.#asked.delete(id);
          post({ kind: "cancel", id });
        },
      },
      { highWaterMark: 0 },
    );
  }
}
