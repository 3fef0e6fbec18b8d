import type { ProcessKey } from "../../access/process-key.ts";
import { withTimeout } from "../../cache/with-timeout.ts";
import type { Identity } from "../../config/settings.ts";
import type { Pausable } from "../listen/connection-gate.ts";
import type { NodeAnswers } from "../listen/node-answers.ts";
import type { RenewablePort } from "../listen/renewable-port.ts";
import type { Hits } from "./messages.ts";
import type { RevisionMemory } from "./revision-memory.ts";
import { WorkerThread } from "./worker-thread.ts";

/** How long after its end a worker is started again, in milliseconds. */
const RESTART_MS = 1000;
/** So many ends in so many milliseconds, and no worker is started any more. */
const MAX_DEATHS = 5;
const DEATHS_IN_MS = 600_000;
/** How long a start waits for the threads, in milliseconds. */
const START_MS = 1000;
/** How long others wait for what the workers have to tell, in milliseconds. */
const COLLECT_MS = 1000;

/** A node-facing port whose connections workers accept. */
export interface WorkerPort {
  readonly port: RenewablePort;
  readonly answers: NodeAnswers;
  readonly pathPrefixes: readonly string[];
}

export interface HitWorkersOptions {
  readonly count: number;
  /** The URL or the path of what a worker runs. */
  readonly program: string;
  readonly shared: RevisionMemory;
  /** By which clients are named whose responses are not for everybody. */
  readonly key: ProcessKey;
  /** Requests that a worker answered by itself. */
  readonly onHits: (hits: readonly Hits[]) => void;
  /** The file of a response could not be opened. */
  readonly unreadable: (error: Error) => void;
  /** A worker has ended, or could not be started. */
  readonly onDeath: (death: { readonly reason: string; readonly isLast: boolean }) => void;
  /** How long after its end a worker is started again, in milliseconds. */
  readonly restartMs?: number;
}

/**
 * Threads that accept the connections of all node-facing ports, at the same listening sockets, while this thread makes
 * the responses and keeps all state. Until the first of them is ready, and when none is left, this thread accepts.
 */
export class HitWorkers implements Pausable {
  readonly #options: HitWorkersOptions;
  readonly #threads = new Set<WorkerThread>();
  /** Those that accept connections. */
  readonly #ready = new Set<WorkerThread>();
  #ports: readonly WorkerPort[] = [];
  #tls: Identity | undefined;
  #isPaused = false;
  #isStopping = false;
  readonly #deaths: number[] = [];

  constructor(options: HitWorkersOptions) {
    this.#options = options;
  }

  /** How many threads accept connections; 0 if this one does. */
  get ready(): number {
    return this.#ready.size;
  }

  /** Starts the threads. Resolves once each is ready or has failed, but soon: the ports are open meanwhile. */
  async start(ports: readonly WorkerPort[], tls: Identity | undefined): Promise<void> {
    this.#ports = ports;
    this.#tls = tls;
    const count = Array.from({ length: this.#options.count });
    await withTimeout(START_MS, Promise.all(count.map(() => this.#startThread())));
  }

  /** Presents another certificate to new connections. */
  renew(tls: Identity): void {
    this.#tls = tls;
    for (const thread of this.#ready) void this.#renewAt(thread, tls);
  }

  pause(): void {
    this.#isPaused = true;
    for (const thread of this.#ready) thread.post({ kind: "pause" });
  }

  resume(): void {
    this.#isPaused = false;
    for (const thread of this.#ready) thread.post({ kind: "resume" });
  }

  /** The main thread's socket is the same one. */
  refuseWaiting(): void {}

  /** Resolves once all that the workers have answered by now was passed to `onHits`. */
  async collect(): Promise<void> {
    const collecting = [...this.#ready].map((thread) => thread.run({ kind: "collect" }));
    await withTimeout(COLLECT_MS, Promise.allSettled(collecting));
  }

  /** As `RenewablePort.stop`. */
  async stop(closeConnections = false): Promise<void> {
    this.#isStopping = true;
    const task = { kind: "stop", closeConnections } as const;
    await Promise.allSettled([...this.#ready].map((thread) => thread.run(task)));
    if (!closeConnections) return;
    for (const thread of this.#threads) thread.terminate();
    this.#threads.clear();
    this.#ready.clear();
  }

  async #startThread(): Promise<void> {
    if (this.#isStopping) return;
    const { shared, key, onHits, unreadable, program } = this.#options;
    let thread: WorkerThread | undefined;
    try {
      const { memory } = shared;
      const answers = this.#ports.map((port) => port.answers);
      const onDeath = (reason: string): void => this.#died(thread, reason);
      thread = new WorkerThread({ program, memory, answers, key, onHits, unreadable, onDeath });
      this.#threads.add(thread);
      await this.#open(thread);
    } catch (error) {
      // One that has ended by itself was seen.
      if (thread && !this.#threads.has(thread)) return;
      thread?.terminate();
      this.#died(thread, error instanceof Error ? error.message : String(error));
    }
  }

  async #open(thread: WorkerThread): Promise<void> {
    const tls = this.#tls;
    for (const [port, { port: own, pathPrefixes }] of this.#ports.entries()) {
      const descriptor = own.share();
      if (descriptor === undefined) throw new Error("the listening socket was not found");
      const identity = tls && { tls: { certificate: tls.certificate, key: tls.key } };
      await thread.run({ kind: "open", port, descriptor, pathPrefixes, ...identity });
    }
    if (this.#isStopping) {
      thread.terminate();
      return;
    }
    this.#ready.add(thread);
    if (this.#isPaused) thread.post({ kind: "pause" });
    if (this.#tls && this.#tls !== tls) void this.#renewAt(thread, this.#tls);
    for (const { port } of this.#ports) port.delegate(true);
  }

  async #renewAt(thread: WorkerThread, { certificate, key }: Identity): Promise<void> {
    try {
      await thread.run({ kind: "renew", tls: { certificate, key } });
    } catch (error) {
      if (!this.#threads.has(thread)) return;
      // It would go on with the old certificate. A new one has the new certificate.
      thread.terminate();
      this.#died(thread, error instanceof Error ? error.message : String(error));
    }
  }

  #died(thread: WorkerThread | undefined, reason: string): void {
    if (thread) {
      this.#threads.delete(thread);
      this.#ready.delete(thread);
    }
    if (this.#isStopping) return;
    if (this.#ready.size === 0) for (const { port } of this.#ports) port.delegate(false);
    const now = performance.now();
    this.#deaths.push(now);
    if (this.#deaths.length > MAX_DEATHS) this.#deaths.shift();
    const [oldest = now] = this.#deaths;
    const isLast = this.#deaths.length === MAX_DEATHS && now - oldest < DEATHS_IN_MS;
    this.#options.onDeath({ reason, isLast });
    if (isLast) return;
    setTimeout(() => void this.#startThread(), this.#options.restartMs ?? RESTART_MS).unref();
  }
}
