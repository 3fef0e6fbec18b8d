import { expect, test } from "bun:test";
import { Queries } from "./queries.ts";

test.each([
  ["http://c:5000/v2/a/tags/list?ns=ghcr.io&n=5", "/v2/a/tags/list", "ns=ghcr.io&n=5"],
  ["http://c:5000/v2/a/tags/list?ns=ghcr.io&n=5", "/v2/a/tags/list", "ns=ghcr.io&n=5"],
  ["http://c/v2/", "/v2/", ""],
  ["http://c/v2/?a=b?c", "/v2/", "a=b%3Fc"],
  [`http://c/v2/?x=${"y".repeat(300)}`, "/v2/", `x=${"y".repeat(300)}`],
])("a URL is split into path and query, also from the cache: %s", (url, path, query) => {
  const queries = new Queries();
  for (let repetition = 0; repetition < 2; repetition += 1) {
    const parts = queries.split(url);
    expect([parts.path, parts.query.toString()]).toEqual([path, query]);
  }
});
