import { expect, test } from "bun:test";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { digestNumber, repositoryRef } from "../../store/storetest/sample-names.ts";
import { WriteBehind } from "../write-behind.ts";
import { DurableMetadata } from "./durable-metadata.ts";

test("the writes of many pulls take turns", async () => {
  const stored = await openMetadata(":memory:");
  const behind = new WriteBehind();
  const events = { onNotWritten: () => {}, onNotRead: () => {} };
  const metadata = new DurableMetadata(stored, { ...events, behind });
  const repo = repositoryRef("reg.test", "app");
  const link = (number: number): Promise<boolean> =>
    metadata.links.add(repo, [{ digest: digestNumber(number), size: 1 }]);
  const all = Array.from({ length: 80 }, (_, number) => number);
  const turns = await eventLoopTurns(async () => {
    await Promise.all(all.map(link));
    // On a busy machine, callers are let go before their writes are done.
    await behind.settled();
  });
  expect(turns).toBeGreaterThanOrEqual(80 / 4 - 1);
  const links = await Promise.all(
    all.map((number) => metadata.links.get(repo, digestNumber(number))),
  );
  expect(links).not.toContain(undefined);
  await stored.close();
});
