import { expect, test } from "bun:test";
import { createLog } from "./log.ts";
import { type RequestLine, RequestLines } from "./request-lines.ts";

/** The line of the log itself, without its time. */
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

const usual: RequestLine = {
  method: "GET",
  path: "/v2/a/blobs/sha256:1",
  namespace: "ghcr.io",
  status: 200,
  bytes: 10_240,
  ms: 0.14,
  cache: "hit",
  client: "127.0.0.1",
  agent: "containerd/2.1.9",
  error: undefined,
};

/** Each is written after those before it, which may be known by then. */
const lines: Partial<RequestLine>[] = [
  {},
  { namespace: undefined, cache: undefined, agent: "" },
  { method: "HEAD", bytes: 0 },
  { status: 404, error: "https://me:secret@cdn.test/x?X-Amz-Signature=abc failed" },
  { client: "::1" },
  { cache: "miss" },
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

test("a line is what the log itself would write, whatever was written before", () => {
  const subject = new RequestLines();
  for (const change of [...lines, ...lines]) {
    const line = { ...usual, ...change };
    expect(timeless(subject.format(Date.now(), line))).toBe(pinoLine(line));
  }
});

test("more clients and paths than are remembered are written as well", () => {
  const subject = new RequestLines();
  for (let turn = 0; turn < 2; turn += 1) {
    for (let at = 0; at < 3000; at += 1) {
      const line = { ...usual, path: `/v2/${at}`, agent: `node/${at}` };
      const written = subject.format(0, line);
      expect([written.includes(`"/v2/${at}"`), written.includes(`"node/${at}"`)]).toEqual([
        true,
        true,
      ]);
    }
  }
});

test("the time is that of each line, to the millisecond", () => {
  const subject = new RequestLines();
  for (const time of [
    "2026-11-22T05:54:28.007Z",
    "2026-11-22T05:54:28.980Z",
    "2026-11-22T05:54:29.000Z",
    "2026-11-22T05:54:28.999Z",
  ]) {
    expect(subject.format(Date.parse(time), usual)).toStartWith(
      `{"level":"info","time":"${time}","method":"GET",`,
    );
  }
});
