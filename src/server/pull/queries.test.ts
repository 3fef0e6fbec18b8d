import { expect, test } from "bun:test";
import { Queries } from "./queries.ts";

test.each([
  ["http://c:5000/v2/a/tags/list?ns=ghcr.io&n=5", "/v2/a/tags/list", "ns=ghcr.io&n=5"],
  ["http://c:5000/v2/a/tags/list?ns=ghcr.io&n=5", "/v2/a/tags/list", "ns=ghcr.io&n=5"],
  ["http://c/v2/", "/v2/", ""],
  ["http://c/v2/?a=b?c", "/v2/", "a=b%3Fc"],
  [`http://c/v2/?x=${"y".repeat(300)}`, "/v2/", `x=${"y".repeat(300)}`],
])("%s", (url, path, query) => {
  const queries = new Queries();
  for (let turn = 0; turn < 2; turn += 1) {
    const found = queries.split(url);
    expect([found.path, found.query.toString()]).toEqual([path, query]);
  }
});
