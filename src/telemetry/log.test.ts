import { expect, test } from "bun:test";
import { createLog, type Log, type LogOptions } from "./log.ts";

function lines(options: Omit<LogOptions, "stream">, write: (log: Log) => void): string[] {
  const written: string[] = [];
  write(createLog({ ...options, stream: { write: (line) => void written.push(line) } }));
  return written;
}

function logged(write: (log: Log) => void): Record<string, unknown> {
  const [line = "{}"] = lines({ format: "json", level: "info" }, write);
  expect(line).toEndWith("}\n");
  const value: Record<string, unknown> = JSON.parse(line);
  return value;
}

test("JSON: one line, a level by name, a time to sort by", () => {
  const entry = logged((log) => log.info({ upstream: "docker.io", status: 200 }, "request"));
  expect(entry).toEqual({
    level: "info",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    upstream: "docker.io",
    status: 200,
    msg: "request",
  });
});

test("levels below the wanted one cost nothing and write nothing", () => {
  expect(lines({ format: "json", level: "warn" }, (log) => log.info("no"))).toEqual([]);
});

test("a line break in what a client sent does not make a line", () => {
  const written = lines({ format: "json", level: "info" }, (log) =>
    log.info({ path: 'a\n{"level":"fatal"}' }, "b\r\nc"),
  );
  expect(written).toHaveLength(1);
  expect(written[0]?.trimEnd()).not.toMatch(/[\r\n]/);
});

test("an error with its causes", () => {
  const cause = new Error("inner");
  const error = Object.assign(new TypeError("outer", { cause }), { code: "EX" });
  expect(logged((log) => log.error({ err: error }, "it failed"))["err"]).toMatchObject({
    type: "TypeError",
    message: "outer",
    code: "EX",
    stack: expect.stringContaining("log.test.ts"),
    cause: { type: "Error", message: "inner" },
  });
});

test("an error that is its own cause ends", () => {
  const error = new Error("round");
  error.cause = error;
  expect(logged((log) => log.error({ err: error }, "it failed"))["msg"]).toBe("it failed");
});

test.each(["json", "text"] as const)("no secret gets into %s", (format) => {
  const secret = "s3cret-0123";
  const written = lines({ format, level: "info" }, (log) => {
    log.info({ password: secret, headers: { authorization: secret } }, "fields");
    log.child({ token: secret }).info("bindings");
    log.info(`GET https://me:${secret}@h.test/x?sig=${secret}`);
    log.info({ url: `/v2/?token=${secret}` }, "url");
    log.error({ err: new Error(`Bearer ${secret} https://h.test/?a=${secret}`) }, "error");
    log.warn({ err: { password: secret } }, "no error");
  });
  expect(written).toHaveLength(6);
  expect(written.join("")).not.toContain(secret);
});

/** Text lines without their clock. */
function textOf(write: (log: Log) => void, colours = false): string {
  return lines({ format: "text", level: "debug", colours }, write)
    .join("")
    .replaceAll(/^\d\d:\d\d:\d\d\.\d{3} /gm, "");
}

test("text: short lines", () => {
  const text = textOf((log) => {
    log.info(
      { method: "GET", path: "/v2/", status: 200, note: "a b", list: [1], none: null },
      "request",
    );
    log.warn({ err: new Error("no route") }, "an upstream fails");
    log.debug("");
  });
  expect(text).toBe(
    `INFO  request method=GET path=/v2/ status=200 note="a b" list=[1] none=null
WARN  an upstream fails: no route
DEBUG${" "}
`.replace(/DEBUG $/m, "DEBUG"),
  );
});

test("text: the stack of what is an error", () => {
  const text = textOf((log) => log.error({ err: new Error("broken") }, "it failed"));
  expect(text).toMatch(/^ERROR it failed: broken\n {4}at .*log\.test\.ts/);
});

test("text: what could steer a terminal is shown instead", () => {
  const text = textOf((log) => log.info({ path: "\u001b[2J\u009b1m\u202e", "a\nb": 1 }, "c\u0007"));
  expect(text).toBe(
    'INFO  c\\u0007 path="\\u001b[2J\\u009b1m\\u202e" a\\u000ab=1\n'
      .replace('path="', "path=")
      .replace('" a', " a"),
  );
});

test("colours where they are wanted", () => {
  expect(textOf((log) => log.warn("x"), true)).toContain("\u001b[33mWARN \u001b[0m x");
});

const endings: [how: string, ending: string, code: number][] = [
  ["exits", "process.exit(3)", 3],
  ["throws", 'throw new Error("x")', 1],
  ["ends", "", 0],
];

test.each(endings)("what is buffered is written when the process %s", async (_, ending, code) => {
  const script = `
    import { createLog } from ${JSON.stringify(`${import.meta.dir}/log.ts`)};
    const log = createLog({ format: "json", level: "info" });
    for (let i = 0; i < 300; i += 1) log.info({ i }, "line");
    ${ending}`;
  const run = async (): Promise<number> => {
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "ignore" });
    const text = await new Response(child.stdout).text();
    expect(await child.exited).toBe(code);
    return text.trim().split("\n").length;
  };
  expect(await Promise.all(Array.from({ length: 8 }, run))).toEqual(
    Array.from({ length: 8 }, () => 300),
  );
});

test("text can be flushed as well", () => {
  const log = createLog({ format: "text", level: "info", stream: { write: () => {} } });
  expect(() => log.flush()).not.toThrow();
});
