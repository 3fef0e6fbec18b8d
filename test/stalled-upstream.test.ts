import { expect, test } from "bun:test";
import { bytesOf, randomContent } from "./harness/content.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { stallAfter } from "./harness/faults.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { verifyStore } from "./harness/store-files.ts";

const MIB = 1024 * 1024;

test("a connection that stalls in mid-body is abandoned, and the rest is fetched over another one", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(20 * MIB);
  upstream.addBlob("app", blob);
  upstream.respond(({ nth }) => (nth === 1 ? stallAfter(10 * MIB) : undefined));
  const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
  await using cache = await startEntrepot({ config });
  const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
  expect(response.status).toBe(200);
  expect(await response.bytes()).toEqual(bytesOf(blob));
  const [, second] = upstream.requests();
  expect(second?.headers.get("range")).toMatch(/^bytes=\d+-$/);
  expect(upstream.requests().length).toBe(2);
  expect(await verifyStore(cache.data)).toEqual([blob.digest]);
}, 90_000);
