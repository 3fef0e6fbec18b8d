import { expect, test } from "bun:test";
import { FolderSyncs, SyncSlots } from "./syncs.ts";

/** Syncs that end when they are told to. */
function controlledSyncs() {
  const started: { folder: string; end: PromiseWithResolvers<void> }[] = [];
  const syncs = new FolderSyncs((folder) => {
    const end = Promise.withResolvers<void>();
    started.push({ folder, end });
    return end.promise;
  });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { started, syncs, turn };
}

test("whoever comes while a sync runs shares the next one", async () => {
  const { started, syncs, turn } = controlledSyncs();
  const done: string[] = [];
  const request = (name: string, folder = "a") =>
    void syncs.sync(folder).then(
      () => done.push(name),
      () => done.push(`${name} failed`),
    );
  request("first");
  for (const name of ["second", "third", "fourth"]) request(name);
  request("other", "b");
  await turn();
  expect(started.map(({ folder }) => folder)).toEqual(["a", "b"]);
  started[0]?.end.resolve();
  await turn();
  // Their changes may have come too late for the sync that was running.
  expect(done).toEqual(["first"]);
  expect(started.map(({ folder }) => folder)).toEqual(["a", "b", "a"]);
  request("fifth");
  started[2]?.end.reject(new Error("EIO"));
  await turn();
  expect(done).toEqual(["first", "second failed", "third failed", "fourth failed"]);
  started[3]?.end.resolve();
  await turn();
  expect(done.at(-1)).toBe("fifth");
  request("sixth");
  expect(started).toHaveLength(5);
});

test("no more syncs run at once than there are slots, also after one has failed", async () => {
  const slots = new SyncSlots(2);
  const ends: PromiseWithResolvers<void>[] = [];
  const outcomes = Array.from({ length: 4 }, () =>
    slots
      .run(() => {
        const end = Promise.withResolvers<void>();
        ends.push(end);
        return end.promise;
      })
      .then(
        () => "synced",
        () => "failed",
      ),
  );
  expect(ends).toHaveLength(2);
  ends[0]?.reject(new Error("EIO"));
  expect(await outcomes[0]).toBe("failed");
  expect(ends).toHaveLength(3);
  for (const at of [1, 2]) ends[at]?.resolve();
  expect(await outcomes[2]).toBe("synced");
  ends[3]?.resolve();
  expect(await Promise.all(outcomes)).toEqual(["failed", "synced", "synced", "synced"]);
});
