import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import type { MetadataStore } from "../../store/metadata-store.ts";
import { Fault } from "../../oci/fault.ts";
import { storageFault } from "../../store/storage-fault.ts";
import { rejection } from "../../store/storetest/writing.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import {
  registry,
  repository,
  serve,
  serveRaw,
  settings,
} from "../../upstream/upstreamtest/test-servers.ts";
import { BlobLookup } from "./blob-lookup.ts";
import { Fills } from "../fill/fills.ts";
import { DurableMetadata } from "./durable-metadata.ts";
import { RepositoryAccess } from "./repository-access.ts";
import { NegativeCache } from "./negative-cache.ts";
import { Bypass } from "../bypass/bypass.ts";
import { sampleBlob } from "../cachetest/scripted-source.ts";

const { bytes, digest } = sampleBlob(100_000);

function createLookup(store: MemoryBlobStore, stored: MetadataStore) {
  const metadata = new DurableMetadata(stored, {
    onNotWritten: (fault) => expect(fault).toBeUndefined(),
    onNotRead: (fault) => expect(fault).toBeUndefined(),
  });
  const fills = new Fills(store, { stored: async () => {}, ended: () => {} });
  const options = {
    recordAccess: () => {},
    negativeCache: new NegativeCache(),
    bypass: new Bypass(),
  };
  const access = new RepositoryAccess(metadata, options.negativeCache, Date.now);
  return { fills, blobs: new BlobLookup({ store, metadata, access, fills, ...options }) };
}

test("a pulled blob is linked afterwards, even if its link was pruned while the pull began", async () => {
  const metadata = await openMetadata(":memory:");
  using server = serve(async () => {
    await metadata.links.removeUnstored([digest], { from: 1, until: 0 });
    return new Response(bytes);
  });
  const { blobs } = createLookup(new MemoryBlobStore(), metadata);
  const configured = settings(`http://reg.test:${server.port}`);
  const repo = { upstream: configured.name, repository: repository("app") };
  await metadata.links.add(repo, [{ digest, size: bytes.byteLength }]);
  const upstream = { settings: configured, registry: registry(server.port) };
  expect((await blobs.get(upstream, repo, digest)).kind).toBe("complete");
  const link = { digest, size: bytes.byteLength, confirmed: true };
  expect(await metadata.links.get(repo, digest)).toEqual(link);
  await metadata.close();
});

test("a streamed response begins only once its first byte is available", async () => {
  const large = sampleBlob(5 * 1024 * 1024);
  let requests = 0;
  using server = await serveRaw((socket) => {
    requests += 1;
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${large.bytes.byteLength}\r\n\r\n`;
    // The first response breaks off after its header.
    if (requests > 1) socket.end(Buffer.concat([Buffer.from(head), large.bytes]));
    else socket.end(head);
  });
  const metadata = await openMetadata(":memory:");
  const { blobs } = createLookup(new MemoryBlobStore(), metadata);
  const configured = settings(`http://reg.test:${server.port}`);
  const repo = { upstream: configured.name, repository: repository("app") };
  await metadata.links.add(repo, [{ digest: large.digest, size: large.bytes.byteLength }]);
  const upstream = { settings: configured, registry: registry(server.port) };
  const result = await blobs.get(upstream, repo, large.digest);
  // The result is returned only once the first byte is available: from the second response.
  expect(requests).toBe(2);
  if (result.kind !== "streaming") throw new Error("a blob of 5 MiB must be streamed");
  const body = await new Response(result.body({ giveUp: () => {} })).bytes();
  expect(body).toEqual(large.bytes);
  await metadata.close();
});

test("a request that joins a fill which failed for another repository starts a new fill", async () => {
  using server = serve(({ path }) =>
    path.startsWith("/v2/open/") ? new Response(bytes) : new Response("", { status: 404 }),
  );
  const store = new MemoryBlobStore();
  const discarding = Promise.withResolvers<void>();
  const discarded = Promise.withResolvers<void>();
  const openWriter = store.writer.bind(store);
  // Discarding the first writer takes a while, as on a busy disk.
  store.writer = async (wanted) => {
    store.writer = openWriter;
    const first = await openWriter(wanted);
    const discard = first.discard.bind(first);
    first.discard = async () => {
      discarding.resolve();
      await discarded.promise;
      await discard();
    };
    return first;
  };
  const metadata = await openMetadata(":memory:");
  const { fills, blobs } = createLookup(store, metadata);
  const configured = settings(`http://reg.test:${server.port}`);
  const upstream = { settings: configured, registry: registry(server.port) };
  const get = (name: string) =>
    blobs.get(upstream, { upstream: configured.name, repository: repository(name) }, digest);

  const refused = get("secret").then(
    () => "served",
    (error: unknown) => String(error),
  );
  await discarding.promise;
  const served = get("open");
  // Wait until the second request has joined the fill, which takes a few microtasks.
  while (fills.running(digest, configured.name) === undefined) await Promise.resolve();
  await setImmediate();
  discarded.resolve();
  expect(await refused).toContain("has no blob");
  expect((await served).kind).toBe("complete");
  expect(server.requests.map(({ path }) => path.split("/")[2])).toEqual(["secret", "open"]);
  await metadata.close();
});

test("a blob whose file cannot be opened for want of memory comes from its upstream; if that fails, this machine is told of", async () => {
  let status = 200;
  using server = serve(() => (status === 200 ? new Response(bytes) : new Response("", { status })));
  class ExhaustedStore extends MemoryBlobStore {
    override async open(): Promise<never> {
      throw storageFault("read a blob", Object.assign(new Error("stat"), { code: "ENOMEM" }));
    }
  }
  const metadata = await openMetadata(":memory:");
  const { blobs } = createLookup(new ExhaustedStore(), metadata);
  const configured = settings(`http://reg.test:${server.port}`);
  const repo = { upstream: configured.name, repository: repository("app") };
  await metadata.links.add(repo, [{ digest, size: bytes.byteLength, confirmed: true }]);
  const upstream = { settings: configured, registry: registry(server.port) };
  const result = await blobs.get(upstream, repo, digest);
  if (result.kind !== "complete") throw new Error("a small blob must be verified first");
  expect(await result.blob.bytes.bytes()).toEqual(bytes);
  status = 503;
  const fault = await rejection(blobs.get(upstream, repo, digest));
  expect(fault instanceof Fault && fault.detail.kind).toBe("storage");
  await metadata.close();
});
