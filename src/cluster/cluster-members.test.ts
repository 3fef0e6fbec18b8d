import { describe, expect, test } from "bun:test";
import { makeCertificateAuthority } from "../../test/harness/services/certificate-authority.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { until } from "../../test/harness/waiting.ts";
import type { ClusterIdentity } from "../config/cluster-settings.ts";
import { urlAt } from "./clustertest/local-replica.ts";
import { knows, one, world } from "../../test/harness/replicas/local-cluster.ts";

test("lists of members that differ are told by both, until they are the same", async () => {
  await using here = world(3);
  const [all, two] = [here.ports.map(urlAt), here.ports.slice(0, 2).map(urlAt)];
  const replicas = [
    await here.start(0, { cluster: { members: all } }),
    await here.start(1, { cluster: { members: two } }),
    // All but itself: the same as all.
    await here.start(2, { cluster: { members: two } }),
  ];
  const told = () => replicas.map((replica) => replica.problems().join());
  const expected = replicas.map(() => "members-differ");
  await until(() => Bun.deepEquals(told(), expected), { what: "the problem" });
  const { text } = one(one(replicas, 0).cluster.problems.current, 0);
  expect(text).toContain(`it lacks ${one(all, 2).origin}`);
  const second = one(replicas, 1);
  second.cluster.configure({ ...second.settings, members: all });
  // The others hear of it with their next look.
  await until(() => second.problems().length === 0, { what: "the end of the problem" });
});

describe("replicas over HTTPS", () => {
  test("download a blob once, and tell of a certificate that has expired until it is renewed", async () => {
    await using dir = await tempDir("cluster-tls");
    const authority = await makeCertificateAuthority(dir);
    const identity = async (name: string, days?: number): Promise<ClusterIdentity> => {
      const signed = await authority.sign(name, "IP:127.0.0.1", days);
      const [certificate, key] = [signed.certificateFile, signed.keyFile].map((file) =>
        Bun.file(file).text(),
      );
      return {
        certificate: (await certificate) ?? "",
        key: (await key) ?? "",
        ca: await authority.certificate(),
      };
    };
    const [valid, expired] = await Promise.all([identity("valid"), identity("expired", -1)]);
    await using here = world(2);
    const members = here.ports.map((port) => new URL(`https://127.0.0.1:${port}`));
    const cluster = (number: number, tls: ClusterIdentity) => ({
      members,
      tls,
      advertise: one(members, number),
    });
    const first = await here.start(0, { cluster: cluster(0, expired) });
    const second = await here.start(1, { cluster: cluster(1, valid) });
    const blob = here.blobFor();
    const bodies = await Promise.all([first.blob(blob.digest), second.blob(blob.digest)]);
    for (const body of bodies) expect(body).toEqual(blob.bytes);
    await until(() => second.problems().includes("member-certificate"), { what: "the problem" });
    await until(() => first.problems().join() === "own-certificate", { what: "the problem" });

    first.cluster.configure({ ...first.settings, ...cluster(0, valid) });
    await Promise.all([knows(first, 2), knows(second, 2)]);
    expect([...first.problems(), ...second.problems()]).toEqual([]);
    const requests = here.upstream.requests.length;
    const other = here.blobFor();
    const others = await Promise.all([first.blob(other.digest), second.blob(other.digest)]);
    for (const body of others) expect(body).toEqual(other.bytes);
    expect(here.upstream.requests).toHaveLength(requests + 1);
  });
});
