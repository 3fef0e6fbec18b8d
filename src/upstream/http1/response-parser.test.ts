import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ResponseParser } from "./response-parser.ts";
import { HttpSyntaxError } from "./syntax-error.ts";

/** Feeds a response in pieces, and describes what came of it. */
function parse(text: string, cuts: readonly number[] = [], isClosed = true): string {
  const parser = new ResponseParser();
  const bytes = Buffer.from(text, "latin1");
  const offsets = [...new Set(cuts.map((cut) => cut % (bytes.byteLength + 1)))];
  const ends = [...offsets.toSorted((a, b) => a - b), bytes.byteLength];
  let body = "";
  let start = 0;
  try {
    for (const end of ends) {
      // A body must be found although its bytes are moved: each piece is a copy of its own.
      body += parser.push(Buffer.from(bytes.subarray(start, end))).toString("latin1");
      start = end;
    }
  } catch (error) {
    if (error instanceof HttpSyntaxError) return error.code;
    throw error;
  }
  if (isClosed) parser.close();
  const { head, isDone, isReusable } = parser;
  const end = isDone ? (isReusable ? "reusable" : "done") : "unfinished";
  return head ? `${head.status} ${JSON.stringify(body)} ${end}` : "no head";
}

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

const RESPONSES: readonly (readonly [string, string])[] = [
  [`${OK}Content-Length: 5\r\n\r\nhello`, '200 "hello" reusable'],
  [`${OK}Content-Length: 0\r\n\r\n`, '200 "" reusable'],
  [`${OK}Content-Length:5 \t\r\n\r\nhello`, '200 "hello" reusable'],
  [`${OK}Content-Length: 5\r\n\r\nhell`, '200 "hell" unfinished'],
  [`${OK}Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK`, '200 "hello" done'],
  [`${OK}Content-Length: 5\r\nConnection: Close\r\n\r\nhello`, '200 "hello" done'],
  [`${OK}Content-Length: 5\r\nConnection: x , close\r\n\r\nhello`, '200 "hello" done'],
  [`${OK}Content-Length: 5\r\nConnection: x close\r\n\r\nhello`, '200 "hello" reusable'],
  [`${OK}\r\nuntil the end`, '200 "until the end" done'],
  ["HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", '200 "ok" done'],
  ["HTTP/1.1 206\r\nContent-Length: 2\r\n\r\nok", '206 "ok" reusable'],
  ["HTTP/1.1 204 No Content\r\n\r\n", '204 "" reusable'],
  ["HTTP/1.1 304 \r\nContent-Length: 100\r\n\r\n", '304 "" reusable'],
  ["HTTP/1.1 200 caf\xe9\r\nContent-Length: 0\r\n\r\n", '200 "" reusable'],
  [`HTTP/1.1 103 Early\r\nLink: a\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`, '200 "ok" reusable'],
  [`${CHUNKED}5\r\nhello\r\n0\r\n\r\n`, '200 "hello" reusable'],
  [
    `${CHUNKED}5;a=b\r\nhello\r\n00A\r\n, world!!!\r\n0\r\nX: y\r\n\r\n`,
    '200 "hello, world!!!" reusable',
  ],
  [`${CHUNKED}5\r\nhello\r\n0\r\n\r\nmore`, '200 "hello" done'],
  [`${CHUNKED}5\r\nhello\r\n`, '200 "hello" unfinished'],
  [`${CHUNKED}5\r\nhello\r\n0\r\n`, '200 "hello" unfinished'],
  [OK, "no head"],
];

const REFUSED: readonly (readonly [string, string, string])[] = [
  ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "InvalidHTTPResponse"],
  ["another version", "HTTP/2 200\r\n\r\n", "InvalidHTTPResponse"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "InvalidHTTPResponse"],
  ["lines without CR", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "InvalidHTTPResponse"],
  ["a folded line", `${OK}A: b\r\n c: d\r\n\r\n`, "InvalidHTTPResponse"],
  ["white space before the colon", `${OK}Content-Length : 5\r\n\r\nhello`, "InvalidHTTPResponse"],
  ["a line without a colon", `${OK}hello\r\n\r\n`, "InvalidHTTPResponse"],
  ["a NUL in a value", `${OK}A: b\0c\r\n\r\n`, "InvalidHTTPResponse"],
  ["a CR in a value", `${OK}A: b\rc\r\n\r\n`, "InvalidHTTPResponse"],
  [
    "both framings",
    `${CHUNKED.slice(0, -2)}Content-Length: 5\r\n\r\n`,
    "UnsupportedTransferEncoding",
  ],
  ["two codings", `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`, "UnsupportedTransferEncoding"],
  [
    "chunked twice",
    `${CHUNKED.slice(0, -2)}Transfer-Encoding: chunked\r\n\r\n`,
    "UnsupportedTransferEncoding",
  ],
  ["a coding in HTTP/1.0", CHUNKED.replace("1.1", "1.0"), "UnsupportedTransferEncoding"],
  ["two lengths", `${OK}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`, "InvalidContentLength"],
  ["a list of lengths", `${OK}Content-Length: 5, 5\r\n\r\n`, "InvalidContentLength"],
  ["a signed length", `${OK}Content-Length: +5\r\n\r\n`, "InvalidContentLength"],
  ["a hexadecimal length", `${OK}Content-Length: 0x5\r\n\r\n`, "InvalidContentLength"],
  ["a length and a no-break space", `${OK}Content-Length: 5\xa0\r\n\r\n`, "InvalidContentLength"],
  ["an empty length", `${OK}Content-Length: \r\n\r\n`, "InvalidContentLength"],
  ["an unasked protocol switch", "HTTP/1.1 101 Switching\r\n\r\n", "InvalidHTTPResponse"],
  ["endless interim responses", "HTTP/1.1 100 Continue\r\n\r\n".repeat(9), "InvalidHTTPResponse"],
  ["a head without end", `${OK}A: ${"a".repeat(70_000)}`, "ResponseHeadersTooLarge"],
  ["many fields", `${OK}${"A: b\r\n".repeat(257)}\r\n`, "ResponseHeadersTooLarge"],
  ["a long head", `${OK}${"A: b\r\n".repeat(12_000)}\r\n`, "ResponseHeadersTooLarge"],
  ["a negative chunk size", `${CHUNKED}-5\r\nhello\r\n`, "InvalidHTTPResponse"],
  ["a chunk size with 0x", `${CHUNKED}0x5\r\nhello\r\n`, "InvalidHTTPResponse"],
  ["a huge chunk size", `${CHUNKED}${"f".repeat(16)}\r\n`, "InvalidHTTPResponse"],
  ["a chunk size line without CR", `${CHUNKED}5\nhello\r\n`, "InvalidHTTPResponse"],
  ["a chunk that is longer than its size", `${CHUNKED}4\r\nhello\r\n`, "InvalidHTTPResponse"],
  ["an endless extension", `${CHUNKED}5;${"a".repeat(2000)}`, "InvalidHTTPResponse"],
  ["a line of white space", `${OK}A:${" ".repeat(60_000)}\0\r\n\r\n`, "InvalidHTTPResponse"],
  [
    "an option that is mostly white space",
    `${OK}Connection: a${" ".repeat(60_000)}b\r\nContent-Length: x\r\n\r\n`,
    "InvalidContentLength",
  ],
  ["endless trailers", `${CHUNKED}0\r\n${"A: b\r\n".repeat(3000)}`, "InvalidHTTPResponse"],
];

const anyCuts = fc.array(fc.nat(), { maxLength: 12 });

describe("a response", () => {
  test.each(RESPONSES)("%j", (text, expected) => {
    expect(parse(text)).toBe(expected);
  });

  test.each(REFUSED)("is refused: %s", (_, text, expected) => {
    expect(parse(text)).toBe(expected);
  });

  test("may arrive in any pieces", () => {
    const texts = [...RESPONSES.map(([text]) => text), ...REFUSED.map(([, text]) => text)];
    const property = fc.property(fc.constantFrom(...texts), anyCuts, (text, cuts) => {
      expect(parse(text, cuts)).toBe(parse(text));
    });
    fc.assert(property, { numRuns: 2000 });
  });

  test("ends early if its connection does", () => {
    expect(parse(`${OK}\r\nuntil`, [], false)).toBe('200 "until" unfinished');
  });
});

describe("a chunked body", () => {
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 20 });

  test("is the sum of its chunks", () => {
    const property = fc.property(chunks, anyCuts, (all, cuts) => {
      const parts = all.map((chunk) => Buffer.from(chunk).toString("latin1"));
      const coded = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("");
      expect(parse(`${CHUNKED}${coded}0\r\n\r\n`, cuts)).toBe(
        `200 ${JSON.stringify(parts.join(""))} reusable`,
      );
    });
    fc.assert(property, { numRuns: 1000 });
  });
});

test("random changes of a response never make more of it than it was, nor throw anything else", () => {
  const text = `${CHUNKED}5\r\nhello\r\n0\r\n\r\n`;
  const changes = fc.array(fc.tuple(fc.nat(text.length - 1), fc.nat(255)), { maxLength: 6 });
  const property = fc.property(changes, anyCuts, (all, cuts) => {
    const bytes = Buffer.from(text, "latin1");
    for (const [at, byte] of all) bytes[at] = byte;
    const changed = bytes.toString("latin1");
    expect(parse(changed, cuts)).toBe(parse(changed));
  });
  fc.assert(property, { numRuns: 3000 });
});
