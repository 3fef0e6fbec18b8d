import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { DiskTimes } from "../disk-times.ts";
import { systemCode } from "../storage-fault.ts";

/**
 * Some network and FUSE file systems sync files only (fsync(2), EINVAL): what the names of files need to
 * be durable is theirs to do. A blob whose name a power cut loses is fetched again.
 */
const UNSUPPORTED: ReadonlySet<string> = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** Makes files and folders durable, for everybody who writes to a store. */
export class Syncs {
  readonly #slots = new SyncSlots();
  readonly #folders = new FolderSyncs((path) => this.#run(() => syncFolder(path)));
  readonly #times: DiskTimes;

  constructor(times: DiskTimes) {
    this.#times = times;
  }

  /** Resolves once the bytes of a file are durable. */
  file(file: FileHandle): Promise<void> {
    return this.#run(() => file.datasync());
  }

  /** Resolves once everything that was done in a folder before this call is durable. */
  folder(path: string): Promise<void> {
    return this.#folders.sync(path);
  }

  #run(sync: () => Promise<void>): Promise<void> {
    return this.#slots.run(() => this.#times.measure("syncing", sync));
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } catch (cause) {
    if (!UNSUPPORTED.has(systemCode(cause) ?? "")) throw cause;
  } finally {
    await handle.close();
  }
}

/**
 * Limits how many syncs run at once, in order of arrival. Each occupies a thread of the pool for file
 * I/O for as long as the disk likes: half of the threads stay free for those who read and write.
 */
export class SyncSlots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(slots: number = defaultSlots()) {
    this.#free = slots;
  }

  async run(sync: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await sync();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

function defaultSlots(): number {
  // Bun's own default is one thread per processor.
  const threads = Number(process.env["UV_THREADPOOL_SIZE"]) || availableParallelism();
  return Math.max(1, Math.floor(threads / 2));
}

/** The sync that runs for a folder, and the one that is to follow it. */
interface FolderSync {
  readonly running: Promise<void>;
  next?: Promise<void>;
}

/**
 * Syncs folders for many who changed them: one sync makes everything durable that was done before it
 * began (group commit). Whoever comes while one runs waits for the next, which all of them share.
 */
export class FolderSyncs {
  readonly #sync: (folder: string) => Promise<void>;
  readonly #folders = new Map<string, FolderSync>();

  constructor(sync: (folder: string) => Promise<void>) {
    this.#sync = sync;
  }

  /** Resolves once everything that was done in the folder before this call is durable. */
  sync(folder: string): Promise<void> {
    const syncs = this.#folders.get(folder);
    if (!syncs) return this.#start(folder);
    syncs.next ??= syncs.running.catch(() => {}).then(() => this.#start(folder));
    return syncs.next;
  }

  #start(folder: string): Promise<void> {
    const running = this.#sync(folder).finally(() => {
      const isLast = this.#folders.get(folder)?.next === undefined;
      if (isLast) this.#folders.delete(folder);
    });
    this.#folders.set(folder, { running });
    return running;
  }
}
