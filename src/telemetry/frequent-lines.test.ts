import { expect, test } from "bun:test";
import { FrequentLines, type LineFields } from "./frequent-lines.ts";
import { createLog } from "./log.ts";

/** The line of the log itself, without its time. */
function pinoLine(fields: LineFields): string {
  let written = "";
  const stream = { write: (line: string) => void (written = line) };
  createLog({ format: "json", level: "info", stream }).info(fields, "request");
  return timeless(written);
}

function timeless(line: string): string {
  return line.replace(/"time":"[^"]*"/, '"time":""');
}

const cases: LineFields[] = [
  {},
  { method: "GET", path: "/v2/a/blobs/sha256:1", status: 200, bytes: 10_240, ms: 0.1 },
  { namespace: undefined, client: "127.0.0.1", agent: "" },
  { agent: 'a"b\\c\n{"level":"fatal"}\u2028\u0000' },
  { agent: "Bearer abcdefgh0123456789", path: "/v2/a?token=verysecret&ns=ghcr.io" },
  { error: "https://me:secret@cdn.test/x?X-Amz-Signature=abc failed", password: "secret" },
  { agent: "x".repeat(600), path: `/v2/${"y".repeat(600)}?token=verysecret` },
];

test.each(cases)("a line is what the log itself would write (%#)", (fields) => {
  const lines = new FrequentLines();
  for (let turn = 0; turn < 2; turn += 1) {
    expect(timeless(lines.format("info", Date.now(), fields, "request"))).toBe(pinoLine(fields));
  }
});

test("the time is that of each line, to the millisecond", () => {
  const lines = new FrequentLines();
  for (const time of [
    "2026-11-22T05:54:28.007Z",
    "2026-11-22T05:54:28.980Z",
    "2026-11-22T05:54:29.000Z",
    "2026-11-22T05:54:28.999Z",
  ]) {
    const line = lines.format("info", Date.parse(time), {}, "request");
    expect(line).toBe(`{"level":"info","time":"${time}","msg":"request"}\n`);
  }
});

test("a value of one field is not taken for that of another", () => {
  const lines = new FrequentLines();
  const first = lines.format("info", 0, { a: "b c", token: "plain" }, "m");
  const second = lines.format("info", 0, { token: "b c", a: "plain" }, "m");
  expect(first).toContain('"a":"b c","token":"[redacted]"');
  expect(second).toContain('"token":"[redacted]","a":"plain"');
});
