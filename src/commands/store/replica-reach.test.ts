import { expect, test } from "bun:test";
import { replicaReachSchema } from "../../api/replicas.ts";
import { reachText } from "./replica-reach.ts";

const reach = { reached: 3, of: 3, ledger: "up", images: 0, refused: 0 } as const;

test.each<[object | undefined, string[]]>([
  [undefined, []],
  [{}, ["Purged at 3 of 3 replicas."]],
  [{ images: 1 }, ["Purged at 3 of 3 replicas, 1 image at the others."]],
  [{ reached: 2 }, ["Purged at 2 of 3 replicas: the rest do so once they hear of it."]],
  [
    { reached: 1, ledger: "away" },
    [
      "Purged at 1 of 3 replicas: the ledger of the replicas cannot be reached. The others hear of it once it can be.",
    ],
  ],
  [
    { reached: 1, ledger: "none" },
    [
      "Purged at 1 of 3 replicas: without cluster.database, replicas do not hear of it. Run the command at each of them.",
    ],
  ],
  [
    { reached: 2, refused: 1 },
    ["Purged at 2 of 3 replicas.", "1 replica cannot do so: see the log there."],
  ],
])("of %j, a command says %j", (changed, lines) => {
  const parsed = replicaReachSchema.optional().parse(changed && { ...reach, ...changed });
  expect(reachText("Purged", parsed)).toEqual(lines);
});
