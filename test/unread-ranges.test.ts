import { expect, test } from "bun:test";
import { randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

const MIB = 1024 * 1024;

test("a range ahead of its fill that gets 304 opens no upstream connection", async () => {
  await using upstream = await startScriptedUpstream();
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(upstream.url) } },
  });
  const blob = randomContent(60 * MIB, 8);
  upstream.addBlob("app", blob);
  upstream.respond(() => faults.stallAfter(MIB));
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  const full = await cache.get(path);
  const headers = { range: `bytes=${40 * MIB}-`, "if-none-match": `"${blob.digest}"` };
  for (let count = 0; count < 3; count += 1) {
    expect((await cache.get(path, { headers })).status).toBe(304);
  }
  // The download itself may go on over another connection meanwhile.
  const ranges = upstream.requests().map(({ headers: sent }) => sent.get("range") ?? "bytes=0-");
  expect(ranges.filter((range) => Number(range.slice(6).split("-")[0]) > 20 * MIB)).toEqual([]);
  await full.body?.cancel();
  upstream.respond();
  upstream.release();
});
