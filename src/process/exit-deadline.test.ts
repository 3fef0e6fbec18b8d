import { expect, test } from "bun:test";
import { run } from "../../test/harness/processes.ts";

test("a process whose main thread is blocked ends at its deadline", async () => {
  const file = new URL("exit-deadline.ts", import.meta.url).pathname;
  const program = `
    import { exitAfter } from ${JSON.stringify(file)};
    exitAfter(10, "too late\\n");
    await Bun.sleep(0);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  `;
  const { code, stderr } = await run([process.execPath, "-e", program]);
  expect([code, stderr]).toEqual([0, "too late\n"]);
});
