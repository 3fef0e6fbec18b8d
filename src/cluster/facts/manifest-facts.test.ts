import { expect, test } from "bun:test";
import { replicas, smallImage } from "../../../test/harness/replicas/linked-replicas.ts";
import { newOrderId } from "../ledger/facts.ts";

const image = smallImage("shared");
/** As a shared store has it, which knows no repositories. */
const near = {
  of: () => [],
  manifest: async () => ({ bytes: image.bytes, mediaType: image.mediaType }),
};

test("a manifest from beside the upstream is shown where the upstream gave it to another replica, as long as that holds", async () => {
  await using at = await replicas({ near });
  const { one, two, three } = at;
  at.push("1", image);
  await one.pull("1");
  at.requests();
  // Neither the tag nor the manifest is asked for.
  expect(await two.pull("1")).toEqual({ digest: image.digest, result: "miss" });
  expect(at.requests()).toEqual([]);
  // The manifest is fetched by the digest that the tag has, whose place is not believed for ever.
  at.clock.now += 3_600_000 + 30_000;
  await one.pull("1");
  at.requests();
  expect(await three.pull("1")).toEqual({ digest: image.digest, result: "miss" });
  expect(at.requests()).toEqual(["HEAD digest"]);
});

test("after a purge, the upstream is asked again", async () => {
  await using at = await replicas({ near });
  const { one, two } = at;
  at.push("1", image);
  await one.pull("1");
  const pattern = `reg.test/app@${image.digest}`;
  await one.ledger.order({ kind: "purge", id: newOrderId(), pattern, ageMs: 0 });
  await at.settled();
  at.requests();
  await two.pull("1");
  expect(at.requests()).toEqual(["GET 1"]);
});
