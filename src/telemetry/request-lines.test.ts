import { expect, test } from "bun:test";
import { isPrintable } from "../printable.ts";
import { createLog } from "./log.ts";
import { type RequestLine, RequestLines, cutForLog } from "./request-lines.ts";

/** The line that the log writes, without its time. */
function pinoLine(line: RequestLine): string {
  let written = "";
  const stream = { write: (text: string) => void (written = text) };
  const ms = Math.round(line.ms * 10) / 10;
  createLog({ format: "json", level: "info", stream }).info({ ...line, ms }, "request");
  return timeless(written);
}

function timeless(line: string): string {
  return line.replace(/"time":"[^"]*"/, '"time":""');
}

const template: RequestLine = {
  method: "GET",
  path: "/v2/a/blobs/sha256:1",
  namespace: "ghcr.io",
  status: 200,
  bytes: 10_240,
  ms: 0.14,
  cache: "hit",
  client: "127.0.0.1",
  principal: undefined,
  agent: "containerd/2.1.9",
  error: undefined,
  trace_id: undefined,
};

/** Changes to the template. Later lines may reuse cached fragments of earlier ones. */
const lines: Partial<RequestLine>[] = [
  {},
  { namespace: undefined, cache: undefined, agent: "" },
  { method: "HEAD", bytes: 0 },
  { status: 404, error: "https://me:secret@cdn.test/x?X-Amz-Signature=abc failed" },
  { client: "::1" },
  { trace_id: "0af7651916cd43dd8448eb211c80319c" },
  { cache: "miss" },
  { principal: "ghcr.io:ann" },
  { principal: 'user:"bob"\n' },
  { namespace: "quay.io" },
  { ms: 0 },
  { ms: 0.06 },
  { ms: 1.04 },
  { ms: 99.95 },
  { ms: 12_345.678 },
  { agent: 'a"b\\c\n{"level":"fatal"}\u2028\u0000' },
  { agent: "Bearer abcdefgh0123456789", path: "/v2/a?token=verysecret&ns=ghcr.io" },
  { agent: "x".repeat(600), path: `/v2/${"y".repeat(600)}?token=verysecret` },
  {},
];

test("a formatted line equals the line that the log writes, with and without cached fragments", () => {
  const subject = new RequestLines();
  for (const change of [...lines, ...lines]) {
    const line = { ...template, ...change };
    expect(timeless(subject.format(Date.now(), line))).toBe(pinoLine(line));
  }
});

test("no line has what a terminal does not show as itself", () => {
  const text = "\u0085\u009b2J\u2028\u202e\u{e0041}\ud800 日本";
  const line = { ...template, path: `/v2/${text}`, agent: text, error: text };
  for (const written of [new RequestLines().format(Date.now(), line), pinoLine(line)]) {
    expect(isPrintable(written.trimEnd())).toBe(true);
    expect(JSON.parse(written)).toMatchObject({ path: `/v2/${text}`, agent: text, error: text });
  }
});

test("lines are correct with more clients and paths than the cache holds", () => {
  const subject = new RequestLines();
  for (let round = 0; round < 2; round += 1) {
    for (let index = 0; index < 3000; index += 1) {
      const line = { ...template, path: `/v2/${index}`, agent: `node/${index}` };
      const written = subject.format(0, line);
      expect([written.includes(`"/v2/${index}"`), written.includes(`"node/${index}"`)]).toEqual([
        true,
        true,
      ]);
    }
  }
});

test("each line has its own time in milliseconds", () => {
  const subject = new RequestLines();
  for (const time of [
    "2026-11-22T05:54:28.007Z",
    "2026-11-22T05:54:28.980Z",
    "2026-11-22T05:54:29.000Z",
    "2026-11-22T05:54:28.999Z",
  ]) {
    expect(subject.format(Date.parse(time), template)).toStartWith(
      `{"level":"info","time":"${time}","method":"GET",`,
    );
  }
});

test("of a long text the first 1024 characters are logged, but no part of credentials", () => {
  expect(cutForLog("x".repeat(1024))).toBe("x".repeat(1024));
  expect(cutForLog("x".repeat(5000))).toBe(`${"x".repeat(1023)}…`);
  const start = `${"x".repeat(1000)} https://`;
  expect(cutForLog(`${start}me:${"s3cret".repeat(9)}@h.test`)).toBe(`${start}…`);
});
