import type { LocalReplica } from "./plan.ts";

/** How long a replica that has ended stays away, so that one sees the others go on: in milliseconds. */
const RESTART_AFTER_MS = 5000;
/** What systemd passes to one process for itself only. */
const OWN_VARIABLES: ReadonlySet<string> = new Set([
  "NOTIFY_SOCKET",
  "WATCHDOG_USEC",
  "LISTEN_FDS",
  "LISTEN_PID",
  "LISTEN_FDNAMES",
]);

export interface ReplicaProcessesOptions {
  /** Runs this program, and what a replica gets from it. */
  readonly commandOf: (replica: LocalReplica) => {
    readonly command: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  };
  /** A line that a replica has printed. */
  readonly printed: (replica: LocalReplica, line: string) => void;
  /** What happens to the replicas. */
  readonly tell: (text: string) => void;
  /** In milliseconds. */
  readonly restartAfter?: number;
}

interface Running {
  readonly child: Bun.Subprocess;
  /** Settles when it has ended and all its lines are printed. */
  readonly ended: Promise<unknown>;
}

/** Replicas as processes of their own. One that ends is started again, until all are told to stop. */
export class ReplicaProcesses {
  readonly #options: ReplicaProcessesOptions;
  readonly #running = new Map<LocalReplica, Running>();
  readonly #restarts = new Set<ReturnType<typeof setTimeout>>();
  readonly #failed = Promise.withResolvers<number>();
  #isStopping = false;

  constructor(options: ReplicaProcessesOptions) {
    this.#options = options;
  }

  /** Resolves with the exit code of a replica that did not even start: it would not the next time. */
  get failed(): Promise<number> {
    return this.#failed.promise;
  }

  start(replica: LocalReplica): void {
    const { command, env } = this.#options.commandOf(replica);
    const inherited = Object.entries(process.env).filter(([name]) => !OWN_VARIABLES.has(name));
    const child = Bun.spawn([...command], {
      env: { ...Object.fromEntries(inherited), ...env },
      // Its end tells a replica that this process is gone.
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      // Ctrl-C reaches this process only, which then stops each of them once.
      detached: true,
    });
    const lines = [child.stdout, child.stderr].map((stream) => this.#print(replica, stream));
    const ended = Promise.all([child.exited, ...lines]);
    this.#running.set(replica, { child, ended });
    void child.exited.then((code) =>
      // A code is of its configuration, its port or its folder: what it has printed says so.
      child.signalCode === null && code !== 0
        ? this.#fail(replica, code)
        : this.#ended(replica, String(child.signalCode ?? "exit code 0")),
    );
    this.#options.tell(`replica ${replica.number} is process ${child.pid}`);
  }

  /** Has all of them end, and waits for that. */
  async stop(signal: NodeJS.Signals): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    const running = [...this.#running.values()];
    for (const { child } of running) child.kill(signal);
    await Promise.all(running.map(({ ended }) => ended));
  }

  #ended(replica: LocalReplica, how: string): void {
    this.#running.delete(replica);
    if (this.#isStopping) return;
    const { restartAfter = RESTART_AFTER_MS, tell } = this.#options;
    tell(
      `replica ${replica.number} has ended (${how}): it is started again in ${restartAfter / 1000} s`,
    );
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.start(replica);
    }, restartAfter);
    this.#restarts.add(timer);
  }

  #fail(replica: LocalReplica, code: number): void {
    this.#running.delete(replica);
    if (this.#isStopping) return;
    this.#options.tell(`replica ${replica.number} has failed (exit code ${code}): all are stopped`);
    this.#failed.resolve(code);
  }

  async #print(replica: LocalReplica, stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#options.printed(replica, line);
    }
    if (rest !== "") this.#options.printed(replica, rest);
  }
}
