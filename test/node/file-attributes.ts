import { expect } from "bun:test";
import { dlopen, ptr } from "bun:ffi";
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Extended attributes (xattr(7)), for which Bun has no API. */
export class Attributes {
  readonly #libc = dlopen("libc.so.6", {
    setxattr: { args: ["cstring", "cstring", "ptr", "usize", "int"], returns: "int" },
    getxattr: { args: ["cstring", "cstring", "ptr", "usize"], returns: "i64" },
  });

  set(path: string, name: string, value: string): void {
    const bytes = new TextEncoder().encode(value);
    const [at, key] = [cString(path), cString(name)];
    expect(this.#libc.symbols.setxattr(ptr(at), ptr(key), ptr(bytes), bytes.length, 0)).toBe(0);
  }

  get(path: string, name: string): string {
    const bytes = new Uint8Array(256);
    const [at, key] = [cString(path), cString(name)];
    const length = this.#libc.symbols.getxattr(ptr(at), ptr(key), ptr(bytes), bytes.length);
    return new TextDecoder().decode(bytes.subarray(0, Math.max(0, Number(length))));
  }
}

function cString(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

/** Not every file system supports the attribute, and not every process may set it. */
export function canBeImmutable(): boolean {
  const file = join(tmpdir(), `entrepot-immutable-${process.pid}`);
  writeFileSync(file, "");
  const isSet = spawnSync("chattr", ["+i", file]).status === 0;
  if (isSet) spawnSync("chattr", ["-i", file]);
  rmSync(file);
  return isSet;
}
