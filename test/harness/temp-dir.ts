import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that is deleted with everything in it on disposal. */
export class TempDir implements AsyncDisposable {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  file(...names: string[]): string {
    return join(this.path, ...names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Creates a folder with a short name: the path of a unix socket has at most 107 characters. */
export async function tempDir(prefix = "t", below = tmpdir()): Promise<TempDir> {
  return new TempDir(await mkdtemp(join(below, `entrepot-${prefix}-`)));
}
