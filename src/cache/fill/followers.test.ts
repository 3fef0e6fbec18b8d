import { describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { Followers } from "./followers.ts";

/** Whether it resolves without anything that happens. */
async function isOpen(work: Promise<void> | undefined): Promise<boolean> {
  return Promise.race([(work ?? Promise.resolve()).then(() => true), setImmediate(false)]);
}

const LEAD = { inOrder: 5, parts: 10 };

describe("a fill with followers", () => {
  test("goes as far as it likes where none of them has a lead", async () => {
    const followers = new Followers();
    expect(followers.reach(100)).toBe(Infinity);
    followers.add({ position: 0 });
    expect([followers.reach(100), followers.keepUp(100)]).toEqual([Infinity, undefined]);
  });

  test("keeps its lead over the fastest, and goes on when that one has read", async () => {
    const followers = new Followers();
    const replica = { position: 0, lead: LEAD };
    const client = { position: 0 };
    followers.add(replica);
    followers.add(client);
    expect([0, 4, 10, 14].map((offset) => followers.reach(offset))).toEqual([10, 6, 0, 0]);
    expect(followers.keepUp(4)).toBeUndefined();
    const waiting = followers.keepUp(5);
    expect(await isOpen(waiting)).toBe(false);
    client.position = 5;
    followers.read();
    expect(await isOpen(waiting)).toBe(true);
    expect(followers.reach(5)).toBe(10);
  });

  test("goes on when the last one with a lead has left", async () => {
    const followers = new Followers();
    const replica = { position: 0, lead: LEAD };
    followers.add(replica);
    followers.add({ position: 0 });
    const waiting = followers.keepUp(20);
    expect(await isOpen(waiting)).toBe(false);
    followers.remove(replica);
    expect(await isOpen(waiting)).toBe(true);
  });

  test("waits no more for one that stands still, until it reads again", async () => {
    const followers = new Followers();
    const replica = { position: 0, lead: LEAD };
    followers.add(replica);
    await followers.keepUp(10);
    expect(followers.reach(1000)).toBe(Infinity);
    replica.position = 1;
    expect(followers.reach(5)).toBe(6);
  });
});
