import { afterEach, beforeEach, expect, test } from "bun:test";
import { type Entrepot, localUpstream } from "../cache/entrepot.ts";
import { mustRun, run } from "../processes.ts";
import type { ScriptedUpstream } from "../registries/scripted-upstream.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";

/** A test that is skipped for users who may not mount anything. */
export const rootTest = process.getuid?.() === 0 ? test : test.skip;

/** A small file system of its own for each test of a file. */
export class SmallDisk {
  #directory: TempDir | undefined;

  /** @param size in bytes */
  constructor(size: number) {
    let isMounted = false;
    beforeEach(async () => {
      this.#directory = await tempDir("disk");
      const { path } = this.#directory;
      const mount = ["mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path];
      isMounted = (await run(mount)).code === 0;
      if (!isMounted) throw new Error("this user is root, but may not mount a tmpfs");
    });
    afterEach(async () => {
      if (isMounted) await mustRun(["umount", "-l", this.file()]);
      await this.#directory?.[Symbol.asyncDispose]();
    });
  }

  file(...names: readonly string[]): string {
    if (!this.#directory) throw new Error("the disk is mounted for tests only");
    return this.#directory.file(...names);
  }

  /** Another process takes all space that is left. */
  async fill(name: string): Promise<void> {
    await mustRun(["sh", "-c", `dd if=/dev/zero of=${this.file(name)} bs=1M 2>/dev/null || true`]);
  }
}

/** The configuration of a cache whose writes fail on the full disk before its own limit applies. */
export function smallDiskConfig(upstream: ScriptedUpstream): object {
  return {
    storage: { maxSize: "1GiB", minFree: 0 },
    upstreams: { "reg.test": localUpstream(upstream.url) },
  };
}

export async function expectWarnedOnce(cache: Entrepot): Promise<void> {
  const message = "nothing can be stored: pulls are streamed without being stored meanwhile";
  await cache.logged(message);
  const warnings = cache.logs().filter((line) => line["level"] === "warn");
  expect(warnings.map((line) => line["msg"])).toEqual([message]);
}
