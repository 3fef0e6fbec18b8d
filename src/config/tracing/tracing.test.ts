import { expect, test } from "bun:test";
import { loadSettings } from "../load.ts";
import { ConfigError } from "../parsing/problems.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import { HeaderError, parseHeaders } from "./headers.ts";

function load(tracing: string, files: Readonly<Record<string, string>> = {}) {
  const all: Readonly<Record<string, string>> = { "/etc/e.yaml": `tracing:\n${tracing}`, ...files };
  const readFile = (name: string): string => {
    const text = all[name];
    if (text === undefined) throw new UnreadableError("does not exist");
    return text;
  };
  try {
    return loadSettings({ flags: { config: "/etc/e.yaml" }, readFile }).tracing;
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

test.each([
  ["http://collector:4318", "http://collector:4318/v1/traces"],
  ["HTTPS://c.test/otlp/", "https://c.test/otlp/v1/traces"],
  ["https://c.test/otlp/v1/traces", "https://c.test/otlp/v1/traces"],
  ["http://[::1]:4318", "http://[::1]:4318/v1/traces"],
])("traces go to %s", (endpoint, url) => {
  expect(load(`  endpoint: "${endpoint}"`)).toEqual({ endpoint: new URL(url), sample: 0.01 });
});

test.each([
  ["  endpoint: collector:4318", "/etc/e.yaml:2:13"],
  ["  endpoint: http://", "/etc/e.yaml:2:13"],
  ["  endpoint: grpc://collector:4317", "/etc/e.yaml:2:13"],
  ["  endpoint: http://collector:4317", "OTLP over gRPC"],
  ["  endpoint: https://me:hidden@collector/", "contains credentials"],
  ["  endpoint: http://collector/?key=1", "has a query"],
  ["  sample: 0.1", "endpoint"],
  ["  endpoint: http://c\n  sample: 2", "/etc/e.yaml:3:11"],
  ["  endpoint: http://c\n  sample: -0.1", "/etc/e.yaml:3:11"],
  ["  endpoint: http://c\n  sample: 1%", "/etc/e.yaml:3:11"],
  ["  endpoint: http://c\n  sampel: 1", "sampel"],
  ["  endpoint: https://c\n  ca: none", "/etc/none does not exist"],
  ["  endpoint: https://c\n  ca: h", "/etc/e.yaml:3:7"],
  ["  endpoint: http://c\n  headersFile: none", "/etc/none does not exist"],
  ["  endpoint: http://c\n  headersFile: h", "/etc/h has no header in line 2: write Name: value"],
])("%j is refused with %j", (text, message) => {
  const refused = load(text, { "/etc/h": "A: b\nhidden\n" });
  expect(refused).toContain(message);
  expect(refused).not.toContain("hidden");
});

test("headers are read as they are written", () => {
  expect(parseHeaders("# for the receiver\r\nAuthorization: Bearer a:b \n\nX-Scope:\n")).toEqual({
    authorization: "Bearer a:b",
    "x-scope": "",
  });
  for (const text of ["a b: c", ": c", "A: b\u0000c", "A: b\rX: c", " A: b"]) {
    expect(() => parseHeaders(text)).toThrow(HeaderError);
  }
});
