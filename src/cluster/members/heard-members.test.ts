import { expect, test } from "bun:test";
import { HeardMembers } from "./heard-members.ts";
import type { Member } from "./members.ts";

const memberAt = (url: string): Member => ({ id: url, url: new URL(url) });
const [self, listed] = [memberAt("http://a:1"), memberAt("http://z:1")];

function setUp(configured: readonly Member[] = []) {
  const changes: string[][] = [];
  const missing: string[] = [];
  const down = new Set<string>();
  const clock = { now: 0 };
  const members = new HeardMembers({
    self,
    configured: { self, living: () => [self, ...configured] },
    isUp: ({ id }) => !down.has(id),
    onChange: (others) => changes.push(others.map(({ id }) => id)),
    onMissing: ({ id }) => missing.push(id),
    now: () => clock.now,
  });
  const hearWith = (silent: readonly string[], ...urls: readonly string[]): void => {
    const replicas = (of: readonly string[], isSilent: boolean) =>
      of.map((url) => ({ id: url, url, isSilent }));
    members.hear([...replicas(urls, false), ...replicas(silent, true)]);
  };
  const hear = (...urls: readonly string[]): void => hearWith([], ...urls);
  const living = (): string[] => members.living().map(({ id }) => id);
  return { members, changes, missing, down, clock, hear, hearWith, living };
}

test("the configured members are believed in, and once the ledger has said something, for a minute if they are up", () => {
  const { living, hear, clock, missing } = setUp([listed]);
  expect(living()).toEqual([self.id, listed.id]);
  hear();
  expect(living()).toEqual([self.id, listed.id]);
  expect(missing).toEqual([listed.id]);
  clock.now = 60_000;
  hear();
  expect(living()).toEqual([self.id]);
});

test("of the members that the ledger hears of, those are asked that are not known to be down", () => {
  const { living, hear, changes, down } = setUp();
  hear("http://b:1", self.id, "http://c:1");
  hear("http://b:1", "http://c:1");
  down.add("http://b:1");
  expect(living()).toEqual([self.id, "http://c:1"]);
  expect(changes).toEqual([["http://b:1", "http://c:1"]]);
});

test("what the ledger said holds for a minute after it is away, and again when it is back", () => {
  const { living, hear, clock } = setUp([listed]);
  hear("http://b:1");
  clock.now = 59_999;
  expect(living()).toEqual([self.id, "http://b:1", listed.id]);
  clock.now = 60_000;
  expect(living()).toEqual([self.id, listed.id]);
  hear("http://b:1");
  expect(living()).toEqual([self.id, "http://b:1"]);
});

test("one that the ledger lists no more is looked at, and believed in for a minute if it is up", () => {
  const { members, living, hear, clock, down, missing, changes } = setUp();
  const hasGone = () => members.hasGone(memberAt("http://b:1"));
  hear("http://b:1", "http://c:1");
  expect(hasGone()).toBe(false);
  hear();
  hear();
  expect(hasGone()).toBe(true);
  expect(missing).toEqual(["http://b:1", "http://c:1"]);
  expect(living()).toEqual([self.id, "http://b:1", "http://c:1"]);
  down.add("http://c:1");
  hear();
  expect(changes.at(-1)).toEqual(["http://b:1"]);
  hear("http://b:1");
  expect(hasGone()).toBe(false);
  clock.now = 10_000;
  hear();
  clock.now = 69_999;
  hear();
  expect(living()).toEqual([self.id, "http://b:1"]);
  clock.now = 70_000;
  hear();
  expect(changes.at(-1)).toEqual([]);
});

test("one that is silent stays a member while the ledger lists it, is looked at once, and asked if it is up", () => {
  const { members, living, hear, hearWith, clock, down, missing, changes } = setUp();
  hear("http://b:1", "http://c:1");
  hearWith(["http://b:1"], "http://c:1");
  expect(members.hasGone(memberAt("http://b:1"))).toBe(false);
  expect(missing).toEqual(["http://b:1"]);
  clock.now = 300_000;
  hearWith(["http://b:1"], "http://c:1");
  expect(living()).toEqual([self.id, "http://c:1", "http://b:1"]);
  down.add("http://b:1");
  hearWith(["http://b:1"], "http://c:1");
  expect(living()).toEqual([self.id, "http://c:1"]);
  expect(changes.at(-1)).toEqual(["http://c:1", "http://b:1"]);
  hear("http://c:1");
  expect(changes.at(-1)).toEqual(["http://c:1"]);
  // One that comes back and is silent again is looked at again; one that was not known is watched from its beginning.
  hear("http://b:1", "http://c:1");
  missing.length = 0;
  hearWith(["http://b:1", "http://d:1"], "http://c:1");
  expect(missing).toEqual(["http://b:1"]);
});

test("whatever somebody writes into the ledger, only what can be a replica is a member", () => {
  const { living, hear } = setUp();
  hear("", "b:1", "file:///etc/passwd", "http://me:secret@b:1", "http://b:1/path", "https://c:1");
  expect(living()).toEqual([self.id, "https://c:1"]);
  hear(...Array.from({ length: 1000 }, (_, at) => `http://h${at}`));
  expect(living()).toHaveLength(256);
});
