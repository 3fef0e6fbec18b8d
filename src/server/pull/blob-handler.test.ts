import { expect, test } from "bun:test";
import { BrokenResponses } from "../../cache/repair/broken-responses.ts";
import { Bypass } from "../../cache/bypass/bypass.ts";
import { sampleBlob } from "../../cache/cachetest/scripted-source.ts";
import { Fills } from "../../cache/fill/fills.ts";
import { BlobLookup } from "../../cache/lookup/blob-lookup.ts";
import { DurableMetadata } from "../../cache/lookup/durable-metadata.ts";
import { RepositoryAccess } from "../../cache/lookup/repository-access.ts";
import { NegativeCache } from "../../cache/lookup/negative-cache.ts";
import { TurnLimiter } from "../../event-loop/turn-limiter.ts";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { registry, repository, settings } from "../../upstream/upstreamtest/test-servers.ts";
import { handleBlob } from "./blob-handler.ts";
import { RequestContext } from "./request-context.ts";

test("many responses with several ranges take turns", async () => {
  const stored = await openMetadata(":memory:");
  const metadata = new DurableMetadata(stored, { onNotWritten: () => {}, onNotRead: () => {} });
  const store = new MemoryBlobStore();
  const { bytes, digest } = sampleBlob(10_000);
  const fills = new Fills(store, { stored: async () => {}, ended: () => {} });
  await fills.put(digest, bytes);
  const configured = settings("http://reg.test");
  const repo = { upstream: configured.name, repository: repository("app") };
  await metadata.links.add(repo, [{ digest, size: bytes.byteLength, confirmed: true }]);
  const negativeCache = new NegativeCache();
  const blobs = new BlobLookup({
    store,
    metadata,
    access: new RepositoryAccess(metadata, negativeCache, Date.now),
    fills,
    recordAccess: () => {},
    negativeCache,
    bypass: new Bypass(),
  });
  const upstream = { settings: configured, registry: registry(80) };
  const severalRanges = new TurnLimiter(2);
  const broken = new BrokenResponses({ lookAt: async () => {}, verifySoon: () => {} });
  const get = async (): Promise<string> => {
    const request = new Request("http://cache.test/", { headers: { range: "bytes=0-1,4-5" } });
    const context = new RequestContext({
      request,
      path: "/",
      query: new URLSearchParams(),
      address: "127.0.0.1",
      setIdleTimeout: () => {},
    });
    const route = { kind: "blob", upstream, repo, digest } as const;
    const response = await handleBlob({ blobs, broken, severalRanges }, route, context);
    return response.text();
  };
  const turns = await eventLoopTurns(async () => {
    const bodies = await Promise.all(Array.from({ length: 40 }, get));
    for (const body of bodies) expect(body).toContain("Content-Range: bytes 4-5/10000");
  });
  expect(turns).toBeGreaterThanOrEqual(40 / 2 - 1);
  await stored.close();
});
