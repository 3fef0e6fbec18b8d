import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import type { MetadataStore } from "../../store/metadata-store.ts";
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
import { NegativeCache } from "./negative-cache.ts";
import { Bypass } from "../bypass/bypass.ts";
import { content } from "../cachetest/scripted-source.ts";

const { bytes, digest } = content(100_000);

function made(store: MemoryBlobStore, metadata: MetadataStore) {
  const fills = new Fills(store, { stored: async () => {}, ended: () => {} });
  const rest = { used: () => {}, negativeCache: new NegativeCache(), bypass: new Bypass() };
  return { fills, blobs: new BlobLookup({ store, metadata, fills, ...rest }) };
}

test("what is pulled may be seen afterwards, whatever was forgotten as the pull began", async () => {
  const metadata = await openMetadata(":memory:");
  using server = serve(async () => {
    await metadata.links.removeUnstored([digest]);
    return new Response(bytes);
  });
  const { blobs } = made(new MemoryBlobStore(), metadata);
  const known = settings(`http://reg.test:${server.port}`);
  const place = { upstream: known.name, repository: repository("app") };
  await metadata.links.add(place, [{ digest, size: bytes.byteLength }]);
  const upstream = { settings: known, registry: registry(server.port) };
  expect((await blobs.get(upstream, place, digest)).kind).toBe("stored");
  expect(await metadata.links.get(place, digest)).toEqual({ digest, size: bytes.byteLength });
  await metadata.close();
});

test("a client is answered once its first byte is here", async () => {
  const large = content(5 * 1024 * 1024);
  let asked = 0;
  using server = await serveRaw((socket) => {
    asked += 1;
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${large.bytes.byteLength}\r\n\r\n`;
    // The first one breaks off before any byte.
    if (asked > 1) socket.end(Buffer.concat([Buffer.from(head), large.bytes]));
    else socket.end(head);
  });
  const metadata = await openMetadata(":memory:");
  const { blobs } = made(new MemoryBlobStore(), metadata);
  const known = settings(`http://reg.test:${server.port}`);
  const place = { upstream: known.name, repository: repository("app") };
  await metadata.links.add(place, [{ digest: large.digest, size: large.bytes.byteLength }]);
  const upstream = { settings: known, registry: registry(server.port) };
  const answer = await blobs.get(upstream, place, large.digest);
  // The head of an answer leaves with its first byte.
  expect(asked).toBe(2);
  if (answer.kind !== "streaming") throw new Error("5 MiB are no small blob");
  const body = await new Response(answer.body({ giveUp: () => {} })).bytes();
  expect(body).toEqual(large.bytes);
  await metadata.close();
});

test("who joins a fill that is ending with another place's refusal begins a new one", async () => {
  using server = serve(({ path }) =>
    path.startsWith("/v2/open/") ? new Response(bytes) : new Response("", { status: 404 }),
  );
  const store = new MemoryBlobStore();
  const ending = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const draft = store.writer.bind(store);
  // The first draft takes its time to go, as a file on a busy disk does.
  store.writer = async (wanted) => {
    store.writer = draft;
    const first = await draft(wanted);
    const discard = first.discard.bind(first);
    first.discard = async () => {
      ending.resolve();
      await ended.promise;
      await discard();
    };
    return first;
  };
  const metadata = await openMetadata(":memory:");
  const { fills, blobs } = made(store, metadata);
  const known = settings(`http://reg.test:${server.port}`);
  const upstream = { settings: known, registry: registry(server.port) };
  const get = (name: string) =>
    blobs.get(upstream, { upstream: known.name, repository: repository(name) }, digest);

  const refused = get("secret").then(
    () => "served",
    (error: unknown) => String(error),
  );
  await ending.promise;
  const served = get("open");
  // Its turn to join comes with the answer of the index, which is there at once.
  while (fills.running(digest) === undefined) await Promise.resolve();
  await setImmediate();
  ended.resolve();
  expect(await refused).toContain("has no blob");
  expect((await served).kind).toBe("stored");
  expect(server.requests.map(({ path }) => path.split("/")[2])).toEqual(["secret", "open"]);
  await metadata.close();
});
