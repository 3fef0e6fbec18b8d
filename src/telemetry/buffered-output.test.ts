import { expect, test } from "bun:test";
import { BufferedOutput } from "./buffered-output.ts";

/** A sink that stays busy until `release` is called. */
class SlowSink {
  readonly written: string[] = [];
  #release: PromiseWithResolvers<number> | undefined;

  write(text: string): number {
    return this.written.push(text);
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

test("lines are written together once the buffer is long enough or flushed", () => {
  const written: string[] = [];
  const sink = { write: (text: string) => written.push(text), flush: () => 0 };
  const output = new BufferedOutput({ minLength: 8, sink });
  output.write("one\n");
  expect(written).toEqual([]);
  output.write("two\n");
  expect(written).toEqual(["one\ntwo\n"]);
  output.write("3\n");
  output.flush();
  expect(written).toEqual(["one\ntwo\n", "3\n"]);
});

test("lines that arrive while the sink is busy are written afterwards", async () => {
  const sink = new SlowSink();
  const output = new BufferedOutput({ minLength: 0, sink });
  for (const line of ["a", "b", "c"]) output.write(line);
  expect(sink.written).toEqual(["a"]);
  await sink.release();
  expect(sink.written).toEqual(["a", "bc"]);
});

test("the buffer for a stalled reader is limited to 4 MiB", async () => {
  const sink = new SlowSink();
  const output = new BufferedOutput({ minLength: 0, sink });
  const line = "x".repeat(1024 * 1024);
  for (let count = 0; count < 20; count += 1) output.write(line);
  await sink.release();
  expect(sink.written.map((text) => text.length)).toEqual([line.length, 4 * line.length]);
});

test("nothing is written after the reader closed the pipe", async () => {
  const sink = new SlowSink();
  const output = new BufferedOutput({ minLength: 0, sink });
  output.write("a");
  await sink.release(Object.assign(new Error("broken pipe"), { code: "EPIPE" }));
  output.write("b");
  output.flush();
  expect(sink.written).toEqual(["a"]);
});

test("the process goes on after the reader closed the pipe", async () => {
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
