import { expect, test } from "bun:test";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { repositoryRef } from "../../store/storetest/sample-names.ts";
import { registry, settings } from "../../upstream/upstreamtest/test-servers.ts";
import { DurableMetadata } from "./durable-metadata.ts";
import { ListCache } from "./list-cache.ts";
import { NegativeCache } from "./negative-cache.ts";
import { RepositoryAccess } from "./repository-access.ts";

test("many lists that are not in memory take turns, and one that is takes none", async () => {
  const stored = await openMetadata(":memory:");
  const metadata = new DurableMetadata(stored, { onNotWritten: () => {}, onNotRead: () => {} });
  const access = new RepositoryAccess(metadata, new NegativeCache(), Date.now);
  const lists = new ListCache(metadata, access, Date.now);
  const configured = { ...settings("http://reg.test"), tagTtl: 60_000 };
  const upstream = { settings: configured, registry: registry(80) };
  const get = (name: string) =>
    lists.get({
      upstream,
      repo: repositoryRef("reg.test", name),
      key: "tags",
      fetch: async () => "latest",
      parse: (body) => body,
      write: (value) => value,
      sizeOf: (value) => value.length,
    });
  await get("known");
  const turns = await eventLoopTurns(async () => {
    const others = Array.from({ length: 320 }, (_, number) => get(`app/${number}`));
    expect(await eventLoopTurns(() => get("known"))).toBe(0);
    await Promise.all(others);
  });
  expect(turns).toBeGreaterThanOrEqual(320 / 16 - 1);
  await stored.close();
});
