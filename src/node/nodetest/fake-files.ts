import { posix } from "node:path";
import type { FileState, FileView } from "../files/node-files.ts";

/** An in-memory FileView, for unit tests of code that only reads files. */
export class FakeFiles implements FileView {
  readonly #files: ReadonlyMap<string, FileState>;

  constructor(files: Readonly<Record<string, string>>) {
    this.#files = new Map(
      Object.entries(files).map(([path, text]) => [
        path,
        { bytes: new TextEncoder().encode(text), mode: 0o644, uid: 0, gid: 0 },
      ]),
    );
  }

  read(path: string): FileState | undefined {
    return this.#files.get(path);
  }

  list(path: string): readonly string[] | undefined {
    const inside = [...this.#files.keys()].filter((file) => file.startsWith(posix.join(path, "/")));
    if (inside.length === 0) return undefined;
    const names = inside.map(
      (file) => file.slice(posix.join(path, "/").length).split("/")[0] ?? "",
    );
    return [...new Set(names)].sort();
  }

  isDirectory(path: string): boolean {
    return this.list(path) !== undefined;
  }

  /** Returns the path itself: there are no symbolic links. */
  resolve(path: string): string {
    return path;
  }
}
