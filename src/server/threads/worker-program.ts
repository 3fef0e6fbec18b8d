import { ProcessKey } from "../../access/process-key.ts";
import { adoptSocket } from "../listen/inherited-sockets.ts";
import { libc } from "../listen/listening-sockets.ts";
import { listenForNodes, type NodeListenerOptions } from "../listen/node-listener.ts";
import { RenewablePort } from "../listen/renewable-port.ts";
import { FileSends } from "../pull/file-sends.ts";
import { KnownHits } from "./known-hits.ts";
import type { FromWorker, Hits, ToWorker } from "./messages.ts";
import { Questions } from "./questions.ts";
import { RevisionMemory } from "./revision-memory.ts";
import { Transit } from "./transit.ts";

type Post = (message: FromWorker) => void;

/** What runs in a worker: the node-facing ports of the main thread, as far as this thread accepts their connections. */
export class WorkerProgram {
  readonly #post: Post;
  readonly #shared: RevisionMemory;
  readonly #known: KnownHits;
  readonly #questions: Questions;
  readonly #fileSends = new FileSends();
  readonly #ports: RenewablePort[] = [];

  constructor({ shared, transit, key }: Extract<ToWorker, { kind: "start" }>, post: Post) {
    this.#post = post;
    this.#shared = new RevisionMemory(shared);
    const tell = (hits: readonly Hits[]): void => post({ kind: "hits", hits });
    this.#known = new KnownHits(this.#shared, new ProcessKey(key), tell);
    this.#questions = new Questions({
      post,
      known: this.#known,
      fileSends: this.#fileSends,
      transit: new Transit(transit),
    });
  }

  onMessage(message: Exclude<ToWorker, { readonly kind: "start" }>): void {
    switch (message.kind) {
      case "open":
        this.#attempt(message.id, () => this.#open(message));
        break;
      case "renew":
        this.#attempt(message.id, () => {
          for (const port of this.#ports) port.renew(message.tls);
        });
        break;
      case "pause":
        for (const port of this.#ports) port.pause();
        break;
      case "resume":
        for (const port of this.#ports) port.resume();
        break;
      case "collect":
        this.#attempt(message.id, () => this.#known.tell());
        break;
      case "stop":
        void this.#stop(message);
        break;
      default:
        this.#questions.onReply(message);
    }
  }

  #open({ port, descriptor, pathPrefixes, tls }: Extract<ToWorker, { kind: "open" }>): void {
    const options = {
      answers: this.#questions.answersOf(port),
      pathPrefixes,
      isScarce: () => this.#shared.isScarce,
      unreadable: (error: Error) => {
        // What the system says is not copied with an error: its code, and the path.
        const { code, errno, syscall, path }: NodeJS.ErrnoException = error;
        const details = { code, errno, syscall, path };
        this.#post({ kind: "unreadable", message: error.message, details });
      },
    } satisfies Partial<NodeListenerOptions>;
    const opened = new RenewablePort(
      (address, withTls) => listenForNodes({ ...options, address, tls: withTls }),
      tls,
    );
    // A temporary port, until it takes over the socket.
    const server = opened.open({ host: "127.0.0.1", port: 0 });
    try {
      adoptSocket(server, { descriptor });
    } catch (error) {
      void server.stop(true);
      libc().close(descriptor);
      throw error;
    }
    this.#ports.push(opened);
  }

  async #stop({ id, closeConnections }: Extract<ToWorker, { kind: "stop" }>): Promise<void> {
    await Promise.all(this.#ports.map((port) => port.stop(closeConnections)));
    if (closeConnections) this.#fileSends.close();
    this.#attempt(id, () => this.#known.tell());
  }

  #attempt(id: number, work: () => void): void {
    try {
      work();
      this.#post({ kind: "done", id });
    } catch (error) {
      this.#post({
        kind: "done",
        id,
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }
}
