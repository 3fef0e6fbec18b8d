import { expect, test } from "bun:test";
import { importGiven, importProblems, upstreamsIn } from "../configtest/import-text.ts";

const config = (prefix: string): string =>
  `version: 0.1\nhttp: { prefix: ${prefix} }\nproxy: { remoteurl: https://ghcr.io }\n`;

test("http.prefix is carried over, so that nodes need no change", () => {
  const upstreamsOf = (prefix: string): unknown => upstreamsIn(importGiven({ f: config(prefix) }));
  expect(upstreamsOf("/cache/")).toEqual({ "ghcr.io": { pathPrefix: "/cache/" } });
  expect(upstreamsOf("/")).toEqual({ "ghcr.io": {} });
});

test("a prefix that is no path is an error", () => {
  expect(importProblems({ f: config("'/a:b/'") })).toContain(
    'f:2:17: http.prefix: "/a:b/" is not a path such as /cache/',
  );
});
