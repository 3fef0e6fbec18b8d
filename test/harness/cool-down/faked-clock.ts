import { rename, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import path from "node:path";
import { ensureUnpacked } from "../../../scripts/components/debian-unpack.mjs";
import { tempDir, type TempDir } from "../temp-dir.ts";

/** The wall clock of real processes, which the test moves. Timers, which use the monotonic clock, stay as they are. */
export class FakedClock implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #library: string;
  #ahead = 0;

  private constructor(dir: TempDir, library: string) {
    this.#dir = dir;
    this.#library = library;
  }

  static async start(): Promise<FakedClock> {
    const tree = await ensureUnpacked("libfaketime", { packages: ["libfaketime"] });
    const libraries = path.join(tree, "usr/lib");
    const [architecture = ""] = readdirSync(libraries);
    const library = path.join(libraries, architecture, "faketime/libfaketimeMT.so.1");
    const clock = new FakedClock(await tempDir("clock"), library);
    await clock.forward(0);
    return clock;
  }

  /** The environment of processes that are to have this clock. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#dir.file("ahead"),
      // It is read at each look at the clock.
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      // Files have the times that they have.
      NO_FAKE_STAT: "1",
    };
  }

  /** In milliseconds of the epoch. */
  get now(): number {
    return Date.now() + this.#ahead;
  }

  /** Moves it on by whole seconds, or back, in milliseconds. It holds at once. */
  async forward(milliseconds: number): Promise<void> {
    this.#ahead += milliseconds;
    const seconds = this.#ahead / 1000;
    const file = this.#dir.file("ahead");
    await writeFile(`${file}.new`, `${seconds < 0 ? "" : "+"}${seconds}\n`);
    await rename(`${file}.new`, file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }
}
