import { expect, test } from "bun:test";
import { runtimeOptions } from "./runtime-options.ts";

const MIB = 1024 * 1024;

test("threads for file I/O fit what may be started", () => {
  const threads = [24, 30, 52, Infinity].map((room) => runtimeOptions(0, room));
  expect(threads.map(({ UV_THREADPOOL_SIZE }) => UV_THREADPOOL_SIZE)).toEqual([
    "4",
    "10",
    "32",
    "32",
  ]);
});

test.each([
  [64 * MIB, 64 * MIB],
  [128 * MIB, 64 * MIB],
  [320 * MIB, 64 * MIB],
  [64 * 1024 * MIB, 64 * MIB],
])("with %i bytes of memory, JavaScriptCore is told of %i", (memory, expected) => {
  expect(runtimeOptions(memory)["BUN_JSC_forceRAMSize"]).toBe(String(expected));
});
