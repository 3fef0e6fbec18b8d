import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { digestOf } from "../../oci/digest.ts";
import { parseUpstreamName, type UpstreamName } from "../../oci/names.ts";
import type { Member } from "./members.ts";
import { neighboursOf, rendezvousOrder } from "./order.ts";

function upstream(name: string): UpstreamName {
  const parsed = parseUpstreamName(name);
  if (!parsed) throw new Error(name);
  return parsed;
}

const HUB = upstream("docker.io");
const member = (port: number): Member => {
  const url = new URL(`http://10.0.0.7:${port}`);
  return { id: url.origin, url };
};
const members = fc
  .uniqueArray(fc.integer({ min: 1024, max: 65_000 }), { minLength: 1, maxLength: 12 })
  .map((ports) => ports.map(member));
const digests = fc.string().map((text) => digestOf(Buffer.from(text)));
const ids = (order: readonly Member[]): string[] => order.map(({ id }) => id);

test("the order does not depend on the order in which members are known", () => {
  fc.assert(
    fc.property(members, digests, fc.nat(), (all, digest, seed) => {
      const turned = [...all.slice(seed % all.length), ...all.slice(0, seed % all.length)];
      expect(ids(rendezvousOrder(turned, HUB, digest))).toEqual(
        ids(rendezvousOrder(all, HUB, digest)),
      );
    }),
  );
});

test("one member less leaves the order of the others", () => {
  fc.assert(
    fc.property(members, digests, fc.nat(), (all, digest, at) => {
      const [gone] = all.slice(at % all.length);
      const before = ids(rendezvousOrder(all, HUB, digest)).filter((id) => id !== gone?.id);
      const left = all.filter(({ id }) => id !== gone?.id);
      expect(ids(rendezvousOrder(left, HUB, digest))).toEqual(before);
    }),
  );
});

test("each of three members is first for about a third, and not for the same blobs of another upstream", () => {
  const all = [1, 2, 3].map(member);
  const firsts = new Map<string, number>();
  let moved = 0;
  for (let n = 0; n < 3000; n += 1) {
    const digest = digestOf(Buffer.from(String(n)));
    const [first] = rendezvousOrder(all, HUB, digest);
    const [other] = rendezvousOrder(all, upstream("quay.io"), digest);
    firsts.set(first?.id ?? "", (firsts.get(first?.id ?? "") ?? 0) + 1);
    if (first !== other) moved += 1;
  }
  for (const count of firsts.values()) expect(count).toBeWithin(900, 1100);
  expect(moved).toBeWithin(1900, 2100);
});

test("the order is the same in every version", () => {
  const order = rendezvousOrder([1, 2, 3, 4].map(member), HUB, digestOf(Buffer.from("a")));
  expect(order.map(({ url }) => url.port)).toEqual(["2", "1", "4", "3"]);
});

test("a member has those ahead of it and those behind it, and all ahead if nobody lists it", () => {
  const order = [1, 2, 3].map(member);
  const { ahead, behind } = neighboursOf(member(2), order);
  expect([ids(ahead), ids(behind)]).toEqual([[member(1).id], [member(3).id]]);
  expect(neighboursOf(member(9), order)).toEqual({ ahead: order, behind: [] });
});
