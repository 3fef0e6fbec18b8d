import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that goes with everything in it when it is disposed of. */
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

/** Short names, since a unix socket's path has at most 107 characters. */
export async function tempDir(prefix = "t"): Promise<TempDir> {
  return new TempDir(await mkdtemp(join(tmpdir(), `entrepot-${prefix}-`)));
}

/**
 * A port that nobody has at this moment. Only for programs that cannot choose one themselves and
 * tell it: another process may take it before they do.
 */
export function freePort(hostname = "127.0.0.1"): number {
  const listener = Bun.listen({ hostname, port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
