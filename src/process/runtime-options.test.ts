import { expect, test } from "bun:test";
import { run } from "../../test/harness/processes.ts";
import { runtimeOptions } from "./runtime-options.ts";

const MIB = 1024 * 1024;

test.each([
  [64 * MIB, 48 * MIB],
  [128 * MIB, 48 * MIB],
  [320 * MIB, 48 * MIB],
  [64 * 1024 * MIB, 48 * MIB],
])("with %i bytes of memory, JavaScriptCore is told of %i", (memory, expected) => {
  expect(runtimeOptions(memory, 32)["BUN_JSC_forceRAMSize"]).toBe(String(expected));
});

test("the compiler that takes the most memory is off", () => {
  expect(runtimeOptions(64 * MIB, 32)["BUN_JSC_useFTLJIT"]).toBe("0");
});

test("the runtime knows every option, by its name and value", async () => {
  const {
    UV_THREADPOOL_SIZE: _,
    BUN_CONFIG_MAX_HTTP_REQUESTS: __,
    ...options
  } = runtimeOptions(64 * MIB, 32);
  const env = { ...options, BUN_JSC_dumpOptions: "1", MIMALLOC_VERBOSE: "1" };
  const { stdout, stderr } = await run([process.execPath, "-e", "0"], { env });
  const told = (stdout + stderr).split("\n").map((line) => line.trim());
  for (const [variable, value] of Object.entries(options)) {
    const name = variable.replace(/^BUN_JSC_|^MIMALLOC_/, "");
    const line = variable.startsWith("MIMALLOC_")
      ? `option '${name.toLowerCase()}': ${value}`
      : `${name}=${name.startsWith("use") ? value !== "0" : value} (default:`;
    expect(told.filter((one) => one.startsWith(line))).toHaveLength(1);
  }
});

test("hundreds of requests that hang leave the next one to be sent", async () => {
  const { promise: end, resolve } = Promise.withResolvers<void>();
  using server = Bun.serve({
    port: 0,
    async fetch({ url }) {
      if (new URL(url).pathname === "/hangs") await end;
      return new Response("sent");
    },
  });
  const script = `for (let i = 0; i < 300; i += 1) void fetch("${server.url.href}hangs").catch(() => {});
    console.log(await (await fetch("${server.url.href}")).text());
    process.exit();`;
  const { BUN_CONFIG_MAX_HTTP_REQUESTS = "" } = runtimeOptions(64 * MIB, 32);
  const { stdout } = await run([process.execPath, "-e", script], {
    env: { BUN_CONFIG_MAX_HTTP_REQUESTS },
  });
  resolve();
  expect(stdout).toBe("sent\n");
});
