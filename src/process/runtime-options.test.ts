import { expect, test } from "bun:test";
import { runtimeOptions } from "./runtime-options.ts";

const MIB = 1024 * 1024;

test.each([
  [64 * MIB, 64 * MIB],
  [128 * MIB, 64 * MIB],
  [320 * MIB, 64 * MIB],
  [64 * 1024 * MIB, 64 * MIB],
])("with %i bytes of memory, JavaScriptCore is told of %i", (memory, expected) => {
  expect(runtimeOptions(memory, 32)["BUN_JSC_forceRAMSize"]).toBe(String(expected));
});

test("the compiler that takes the most memory is off", () => {
  expect(runtimeOptions(64 * MIB, 32)["BUN_JSC_useFTLJIT"]).toBe("0");
});
