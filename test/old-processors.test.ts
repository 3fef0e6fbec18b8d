import { expect, test } from "bun:test";
import { join } from "node:path";
import { build } from "../scripts/build.mjs";
import { ensureUnpacked } from "../scripts/components/debian-unpack.mjs";
import { root } from "../scripts/fresh-bundle.mjs";
import { run } from "./harness/processes.ts";
import { real } from "./harness/real-components.ts";
import { tempDir } from "./harness/temp-dir.ts";

const isLong = process.env["ENTREPOT_LONG"] === "1";
/** Otherwise the program starts itself anew, outside of the emulation. */
const OPTIONS = {
  UV_THREADPOOL_SIZE: "4",
  BUN_JSC_forceRAMSize: "999999999",
  BUN_JSC_useFTLJIT: "0",
};
const SIGILL = 132;

/** The instructions of scripts/processor.sh, one of which each of these lacks. */
const LACKING = ["kvm64", "qemu64", "core2duo", "Nehalem,-popcnt", "Nehalem,-ssse3"];

const longTest = isLong && real.available && process.arch === "x64" ? test : test.skip;

longTest(
  "the program and the executable run on x86-64-v2, and on nothing less, as scripts/processor.sh says",
  async () => {
    await using dir = await tempDir("processor");
    const tree = await ensureUnpacked("qemu-user-static", { packages: ["qemu-user-static"] });
    const on = (processor: string, ...command: string[]) =>
      run([join(tree, "usr/bin/qemu-x86_64-static"), "-cpu", processor, ...command], {
        env: OPTIONS,
      });
    const bun = join(root, "node_modules/bun/bin/bun.exe");
    const version = ["--config=/dev/null", join(root, "scripts/launch.mjs"), "--version"];
    const executable = build("x64", dir.path);
    for (const processor of ["Nehalem", "SandyBridge"]) {
      for (const command of [
        [bun, ...version],
        [executable, "--version"],
      ]) {
        const { code, stdout, stderr } = await on(processor, ...command);
        expect([code, stdout, stderr.replaceAll(/^.*warning.*\n/gm, "")], processor).toEqual([
          0,
          expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
          "",
        ]);
      }
    }
    for (const processor of LACKING) {
      expect((await on(processor, executable, "--version")).code, processor).toBe(SIGILL);
    }
  },
  180_000,
);
