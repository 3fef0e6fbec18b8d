const MIB = 1024 * 1024;

/** More than these would wait for the main thread, which makes all responses. */
const MOST_BY_DEFAULT = 4;
/** What a worker takes at most: about 16 MiB, and the responses that it keeps. In bytes. */
const WORKER_MEMORY = 32 * MIB;
/** What the rest of the program needs, in bytes. */
const OTHER_MEMORY = 256 * MIB;

/** What the number of threads depends on. */
export interface WorkerConditions {
  readonly processors: number;
  /** Bytes that this process may use. */
  readonly memory: number;
  /** Whether threads can accept connections from one socket. */
  readonly canShareSockets: boolean;
  /** Whether clients alone may use up the file descriptors: they are counted between two connections. */
  readonly areDescriptorsFew: boolean;
  /** How many more threads there may be. */
  readonly threads: number;
}

export interface WorkerPlan {
  /** How many threads accept connections. 1 stands for the main thread. */
  readonly count: number;
  /** Why there are fewer than was asked for. */
  readonly reason?: string;
}

/**
 * How many threads accept connections. By default as many as there are processors but one, which the kernel, the disk
 * and the main thread share; with two of them, the main thread alone.
 */
export function workerPlan(wanted: number | "auto", conditions: WorkerConditions): WorkerPlan {
  const { processors, memory, canShareSockets, areDescriptorsFew, threads } = conditions;
  const limits: readonly (readonly [number, string])[] = [
    [canShareSockets ? Infinity : 1, "it takes Linux and glibc"],
    [areDescriptorsFew ? 1 : Infinity, "few file descriptors (ulimit -n, LimitNOFILE=)"],
    [Math.floor((memory - OTHER_MEMORY) / WORKER_MEMORY), "the memory limit"],
    // A thread, and one that collects its garbage.
    [Math.floor(threads / 2), "the limit of threads (TasksMax=, ulimit -u)"],
  ];
  const [most, reason] = limits.reduce((one, other) => (other[0] < one[0] ? other : one));
  const byDefault = processors <= 2 ? 1 : Math.min(MOST_BY_DEFAULT, processors - 1);
  const asked = wanted === "auto" ? byDefault : wanted;
  const count = Math.max(1, Math.min(asked, most));
  return wanted !== "auto" && count < asked ? { count, reason } : { count };
}
