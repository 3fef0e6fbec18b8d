import type { Digest } from "../../oci/digest.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import { MemorySharedStore } from "../shared-store/memory-shared-store.ts";
import type { SharedBody } from "../shared-store/shared-store.ts";
import { SharedStoreError, type SharedStoreProblem } from "../shared-store/shared-store-error.ts";

type Operation = "size" | "read" | "write";

/** A shared store in memory that fails as it is told to, and records what it is asked for. */
export class ScriptedSharedStore extends MemorySharedStore {
  /** While set, requests of this kind fail. */
  readonly problems = new Map<Operation, SharedStoreProblem>();
  readonly asked: string[] = [];
  /** While set, writes wait for it. */
  held: Promise<void> | undefined;
  /** While set, all requests fail with it. */
  failure: SharedStoreError | undefined;
  /** The bytes that it sends in place of those that it has. */
  forged: Uint8Array | undefined;

  override async size(digest: Digest, signal?: AbortSignal): Promise<number | undefined> {
    this.#ask("size", digest);
    return super.size(digest, signal);
  }

  override async read(
    digest: Digest,
    offset: number,
    signal: AbortSignal,
    end?: number,
  ): Promise<SharedBody | undefined> {
    this.#ask("read", digest);
    const found = await super.read(digest, offset, signal, end);
    if (!found || !this.forged) return found;
    return { ...found, body: new Blob([this.forged.slice(offset, end)]).stream() };
  }

  override async write(blob: StoredBlob, signal?: AbortSignal): Promise<void> {
    this.#ask("write", blob.digest);
    await this.held;
    return super.write(blob, signal);
  }

  count(operation: Operation): number {
    return this.asked.filter((line) => line.startsWith(operation)).length;
  }

  #ask(operation: Operation, digest: Digest): void {
    this.asked.push(`${operation} ${digest}`);
    if (this.failure) throw this.failure;
    const problem = this.problems.get(operation);
    if (problem) throw new SharedStoreError(this.name, problem);
  }
}
