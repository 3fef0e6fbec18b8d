import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { version } from "../src/version.ts";
import { run } from "./harness/processes.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

test("--version prints one line, and with --json, on either side, what programs read", async () => {
  const { code, stdout } = await run([PROGRAM, "--version"]);
  expect([code, stdout.split(/[\s(]/)[0]]).toEqual([0, version]);
  for (const args of [
    ["--version", "--json"],
    ["--json", "-V"],
  ]) {
    const told = await run([PROGRAM, ...args]);
    expect([told.code, JSON.parse(told.stdout)]).toMatchObject([0, { version, bun: Bun.version }]);
  }
});
