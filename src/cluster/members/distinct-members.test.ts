import { expect, test } from "bun:test";
import { memberAt } from "./configured-members.ts";
import { distinctMembers } from "./distinct-members.ts";
import type { MemberState } from "./member-health.ts";

test("a replica that answers under two names is one, and one that does not answer is unknown", () => {
  const named = (name: string) => memberAt(new URL(`http://${name}:5002`));
  const instances = new Map([
    ["http://a:5002", "first"],
    ["http://10.0.0.1:5002", "first"],
    ["http://b:5002", "second"],
    ["http://me:5002", "own"],
  ]);
  const health = {
    stateOf({ id }: { readonly id: string }): MemberState {
      const instance = instances.get(id);
      if (instance === undefined) return { kind: "unknown" };
      return { kind: "alive", greeting: { instance, version: "0.1.0" } };
    },
  };
  const members = ["a", "me", "c", "10.0.0.1", "b"].map(named);
  const ids = (own?: string) =>
    distinctMembers(members, health, own).map(({ url }) => url.hostname);
  expect(ids("own")).toEqual(["a", "c", "b"]);
  expect(ids()).toEqual(["a", "me", "c", "b"]);
});
