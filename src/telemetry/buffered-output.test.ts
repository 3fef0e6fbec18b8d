import { expect, test } from "bun:test";
import { Output } from "./buffered-output.ts";

/** A reader that takes what it is sent when it is told to. */
class SlowSink {
  readonly taken: string[] = [];
  #release: PromiseWithResolvers<number> | undefined;

  write(text: string): number {
    return this.taken.push(text);
  }

  flush(): Promise<number> {
    this.#release = Promise.withResolvers();
    return this.#release.promise;
  }

  async release(error?: Error): Promise<void> {
    if (error) this.#release?.reject(error);
    else this.#release?.resolve(0);
    await Bun.sleep(0);
  }
}

test("lines are written together, once there are enough of them or on demand", () => {
  const taken: string[] = [];
  const sink = { write: (text: string) => taken.push(text), flush: () => 0 };
  const output = new Output({ minLength: 8, sink });
  output.write("one\n");
  expect(taken).toEqual([]);
  output.write("two\n");
  expect(taken).toEqual(["one\ntwo\n"]);
  output.write("3\n");
  output.flush();
  expect(taken).toEqual(["one\ntwo\n", "3\n"]);
});

test("a slow reader gets what came meanwhile afterwards", async () => {
  const sink = new SlowSink();
  const output = new Output({ minLength: 0, sink });
  for (const line of ["a", "b", "c"]) output.write(line);
  expect(sink.taken).toEqual(["a"]);
  await sink.release();
  expect(sink.taken).toEqual(["a", "bc"]);
});

test("what waits for a reader that stalls is bounded", async () => {
  const sink = new SlowSink();
  const output = new Output({ minLength: 0, sink });
  const line = "x".repeat(1024 * 1024);
  for (let count = 0; count < 20; count += 1) output.write(line);
  await sink.release();
  expect(sink.taken.map((text) => text.length)).toEqual([line.length, 4 * line.length]);
});

test("a reader that went away is not written to again", async () => {
  const sink = new SlowSink();
  const output = new Output({ minLength: 0, sink });
  output.write("a");
  await sink.release(Object.assign(new Error("broken pipe"), { code: "EPIPE" }));
  output.write("b");
  output.flush();
  expect(sink.taken).toEqual(["a"]);
});

test("a process whose reader goes away runs on", async () => {
  const script = `
    import { createLog } from ${JSON.stringify(`${import.meta.dir}/log.ts`)};
    const log = createLog({ format: "json", level: "info" });
    for (let i = 0; i < 2000; i += 1) { log.info({ i, pad: "x".repeat(100) }, "line"); await Bun.sleep(0); }
    process.exit(7);`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  expect(await child.exited).toBe(7);
  expect(await new Response(child.stderr).text()).toBe("");
});
