import { expect, test } from "bun:test";
import { Fault } from "../oci/fault.ts";
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

test("a JSON line has the level as a name and an ISO 8601 time", () => {
  const entry = logged((log) => log.info({ upstream: "docker.io", status: 200 }, "request"));
  expect(entry).toEqual({
    level: "info",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    upstream: "docker.io",
    status: 200,
    msg: "request",
  });
});

test("lines below the configured level are not written", () => {
  expect(lines({ format: "json", level: "warn" }, (log) => log.info("no"))).toEqual([]);
});

test("a line break in a field or message does not start a new line", () => {
  const written = lines({ format: "json", level: "info" }, (log) =>
    log.info({ path: 'a\n{"level":"fatal"}' }, "b\r\nc"),
  );
  expect(written).toHaveLength(1);
  expect(written[0]?.trimEnd()).not.toMatch(/[\r\n]/);
});

test("an error is logged with its causes", () => {
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

test("logging an error that is its own cause terminates", () => {
  const error = new Error("round");
  error.cause = error;
  expect(logged((log) => log.error({ err: error }, "it failed"))["msg"]).toBe("it failed");
});

test.each(["json", "text"] as const)("secrets are redacted in %s lines", (format) => {
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

/** Text lines without their time. */
function textOf(write: (log: Log) => void, colours = false): string {
  return lines({ format: "text", level: "debug", colours }, write)
    .join("")
    .replaceAll(/^\d\d:\d\d:\d\d\.\d{3} /gm, "");
}

test("text lines have level, message and key=value fields", () => {
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

test("a text line of level error is followed by the stack trace", () => {
  const text = textOf((log) => log.error({ err: new Error("broken") }, "it failed"));
  expect(text).toMatch(/^ERROR it failed: broken\n {4}at .*log\.test\.ts/);
});

test("control characters are escaped in text lines", () => {
  const text = textOf((log) => log.info({ path: "\u001b[2J\u009b1m\u202e", "a\nb": 1 }, "c\u0007"));
  expect(text).toBe(
    'INFO  c\\u0007 path="\\u001b[2J\\u009b1m\\u202e" a\\u000ab=1\n'
      .replace('path="', "path=")
      .replace('" a', " a"),
  );
});

test("text lines have colours if they are enabled", () => {
  expect(textOf((log) => log.warn("x"), true)).toContain("\u001b[33mWARN \u001b[0m x");
});

const endings: [how: string, ending: string, code: number][] = [
  ["exits", "process.exit(3)", 3],
  ["throws", 'throw new Error("x")', 1],
  ["ends", "", 0],
];

test.each(endings)("buffered lines are written when the process %s", async (_, ending, code) => {
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

test("a log with a custom stream can be flushed", () => {
  const log = createLog({ format: "text", level: "info", stream: { write: () => {} } });
  expect(() => log.flush()).not.toThrow();
});

test("a fault has no stack trace, nor what the system said; an error of the program has one", () => {
  const system = Object.assign(new Error("EIO: i/o error, stat 'metadata.db'"), { code: "EIO" });
  const failed = (cause: Error): unknown => {
    const err = new Fault({ kind: "storage", reason: "it failed" }, { cause });
    return logged((log) => log.warn({ err }, "repairing failed"))["err"];
  };
  expect(failed(system)).toEqual({
    type: "Fault",
    message: "the cache's storage failed: it failed",
    cause: { type: "Error", message: system.message, code: "EIO" },
  });
  const ofBug = failed(new TypeError("not a function"));
  expect(ofBug).not.toHaveProperty("stack");
  expect(ofBug).toHaveProperty("cause.stack", expect.stringContaining("log.test.ts"));
});
