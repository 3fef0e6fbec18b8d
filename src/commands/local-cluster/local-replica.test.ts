import { expect, test } from "bun:test";
import { loadSettings } from "../../config/load.ts";
import { asReplica, localReplica, REPLICA_VARIABLE } from "./local-replica.ts";

const replica = {
  listen: "127.0.0.1:5012",
  members: ["http://127.0.0.1:5002", "http://127.0.0.1:5012"],
  secret: "0123456789abcdef",
};

test("a replica beside others is one of the cluster, and no upstream has a port that another has", () => {
  const yaml = "upstreams:\n  docker.io: { port: 5010 }\n  ghcr.io: { listen: 127.0.0.1:5011 }\n";
  const settings = loadSettings({
    flags: { config: "/etc/entrepot.yaml" },
    readFile: () => yaml,
  });
  const { cluster, upstreams } = asReplica(settings, replica);
  expect(cluster).toEqual({
    listen: { host: "127.0.0.1", port: 5012 },
    advertise: new URL("http://127.0.0.1:5012"),
    secret: "0123456789abcdef",
    members: replica.members.map((url) => new URL(url)),
  });
  const own = [...upstreams.values()].flatMap(({ port, listen }) => port ?? listen ?? []);
  expect([upstreams.size, own]).toEqual([2, []]);
});

test("only a process that was started as a replica is one", () => {
  expect(localReplica({})).toBeUndefined();
  expect(localReplica({ [REPLICA_VARIABLE]: JSON.stringify(replica) })).toEqual(replica);
  expect(() => localReplica({ [REPLICA_VARIABLE]: "{}" })).toThrow();
});
