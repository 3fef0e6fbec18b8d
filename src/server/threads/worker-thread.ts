import type { ProcessKey } from "../../access/process-key.ts";
import type { NodeAnswers } from "../listen/node-answers.ts";
import { Exchange } from "./exchange.ts";
import type { FromWorker, Hits, ToWorker } from "./messages.ts";
import { Transit } from "./transit.ts";

/** What a worker does, and answers with `done`. */
type Task = Extract<ToWorker, { readonly kind: "open" | "renew" | "collect" | "stop" }>;
/** Without its number. */
export type NewTask = Task extends infer Each
  ? Each extends Task
    ? Omit<Each, "id">
    : never
  : never;

export interface WorkerThreadOptions {
  /** The URL or the path of the program. */
  readonly program: string;
  readonly memory: SharedArrayBuffer;
  /** The answers of each port, by its number. */
  readonly answers: readonly NodeAnswers[];
  readonly key: ProcessKey;
  readonly onHits: (hits: readonly Hits[]) => void;
  readonly unreadable: (error: Error) => void;
  /** Called once, when the thread has ended by itself. */
  readonly onDeath: (reason: string) => void;
}

/** A worker, as the main thread sees it. When it ends, its connections are closed with it. */
export class WorkerThread {
  readonly #options: WorkerThreadOptions;
  readonly #worker: Worker;
  readonly #transit = new Transit();
  readonly #exchanges = new Map<number, Exchange>();
  readonly #tasks = new Map<number, PromiseWithResolvers<void>>();
  #lastTask = 0;
  #reason = "it ended";
  #hasEnded = false;

  /** @throws Error if no thread can be started */
  constructor(options: WorkerThreadOptions) {
    this.#options = options;
    this.#worker = new Worker(options.program);
    this.#worker.unref();
    // The program posts no other messages.
    this.#worker.addEventListener("message", ({ data }) => this.#onMessage(data as FromWorker));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#reason = event.message;
    });
    this.#worker.addEventListener("close", () => this.#onClose());
    const { memory: shared, key } = options;
    this.post({ kind: "start", shared, transit: this.#transit.memory, key: key.bytes });
  }

  /** Resolves once it is done, and rejects if that failed, or the thread ends. */
  async run(task: NewTask): Promise<void> {
    if (this.#hasEnded) throw new Error(this.#reason);
    this.#lastTask += 1;
    const id = this.#lastTask;
    const done = Promise.withResolvers<void>();
    this.#tasks.set(id, done);
    // Otherwise a process that stops would end while it waits for this, and leave undone what comes after.
    this.#worker.ref();
    this.post({ ...task, id });
    try {
      await done.promise;
    } finally {
      if (this.#tasks.size === 0) this.#worker.unref();
    }
  }

  post(message: ToWorker): void {
    if (this.#hasEnded) return;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none, a window has
    this.#worker.postMessage(message);
  }

  /** Ends the thread at once, as when the process ends. */
  terminate(): void {
    this.#end();
    this.#worker.terminate();
  }

  #onMessage(message: FromWorker): void {
    switch (message.kind) {
      case "ask":
        this.#ask(message);
        break;
      case "pull":
        void this.#exchanges.get(message.id)?.pull();
        break;
      case "cancel":
        this.#exchanges.get(message.id)?.abandon();
        break;
      case "sent":
      case "broke-off":
        this.#exchanges.get(message.id)?.told(message);
        break;
      case "hits":
        this.#options.onHits(message.hits);
        break;
      case "done": {
        const task = this.#tasks.get(message.id);
        this.#tasks.delete(message.id);
        if (message.error === undefined) task?.resolve();
        else task?.reject(new Error(message.error));
        break;
      }
      case "unreadable":
        this.#options.unreadable(Object.assign(new Error(message.message), message.details));
        break;
    }
  }

  #ask(question: Extract<FromWorker, { readonly kind: "ask" }>): void {
    const { id, port } = question;
    const answers = this.#options.answers[port];
    // Its ports are numbered by this thread.
    if (!answers) throw new RangeError(`no port has the number ${port}`);
    const exchange = new Exchange({
      question,
      answers,
      transit: this.#transit,
      post: (message) => this.post(message),
      ended: () => this.#exchanges.delete(id),
    });
    this.#exchanges.set(id, exchange);
    void exchange.run();
  }

  #onClose(): void {
    if (this.#hasEnded) return;
    this.#end();
    this.#options.onDeath(this.#reason);
  }

  #end(): void {
    this.#hasEnded = true;
    for (const exchange of this.#exchanges.values()) exchange.abandon();
    this.#exchanges.clear();
    for (const task of this.#tasks.values()) task.reject(new Error(this.#reason));
    this.#tasks.clear();
  }
}
