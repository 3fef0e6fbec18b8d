import { expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { parseRange } from "../../oci/range.ts";
import { type BlobRedirects, redirectResponse } from "./blob-redirects.ts";
import { RequestContext } from "./request-context.ts";

const SIZE = 1000;
const digest = digestOf(new Uint8Array(SIZE));
const blob = { digest, size: SIZE, bytes: new Blob([]) };
const url = new URL("https://s3.test/b/x?signature=1");

async function respond(
  range: string | undefined,
  redirects: BlobRedirects = { from: 600, of: async () => url },
): Promise<Response | undefined> {
  const headers = new Headers({ host: "cache.test:5000", ...(range ? { range } : {}) });
  const context = new RequestContext({
    request: { method: "GET", headers },
    path: "",
    query: new URLSearchParams(),
    address: "",
    setIdleTimeout: () => {},
  });
  const parsed = parseRange(range ?? null);
  if (parsed?.kind === "invalid") throw new Error("an invalid range");
  return redirectResponse(redirects, blob, parsed, context);
}

test.each([
  [undefined, 307],
  ["bytes=0-", 307],
  ["bytes=400-", 307],
  ["bytes=0-599", 307],
  ["bytes=-600", 307],
  ["bytes=401-", undefined],
  ["bytes=0-598", undefined],
  ["bytes=0-599,700-", undefined],
  ["bytes=1000-", undefined],
])("the range %p is answered by %p", async (range, status) => {
  const response = await respond(range);
  expect(response?.status).toBe(status);
  if (!response) return;
  expect(response.headers.get("location")).toBe(url.href);
  // The address ends in minutes, and the blob never does.
  expect(response.headers.get("cache-control")).toBe("no-store");
});

test("what cannot be had elsewhere is sent from here", async () => {
  const asked: string[] = [];
  const of: BlobRedirects["of"] = async (wanted, host) => {
    asked.push(`${wanted} ${host}`);
    return undefined;
  };
  expect(await respond(undefined, { from: 1000, of })).toBeUndefined();
  expect(await respond(undefined, { from: 1001, of })).toBeUndefined();
  expect(asked).toEqual([`${digest} cache.test:5000`]);
});
