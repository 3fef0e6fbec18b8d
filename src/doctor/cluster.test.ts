import { expect, test } from "bun:test";
import { makeCertificate } from "../../test/harness/services/certificates.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { clusterCertificateFindings, clusterFindings } from "./cluster.ts";

const members = [
  { id: "a", state: "this", version: "0.2.0" },
  { id: "b", state: "living", version: "0.2.0" },
];

test("a cluster in which everything works has a row for each part", () => {
  const ledger = { name: "pg.test/entrepot", state: "up" };
  const store = { name: "https://s3.test/bucket", state: "up" };
  expect(clusterFindings({ members, ledger, store, degraded: [] })).toEqual([
    {
      topic: "cluster",
      subject: "members",
      state: "ok",
      found: "2 of 2 replicas are living, with 0.2.0",
    },
    { topic: "cluster", subject: "ledger", state: "ok", found: "pg.test/entrepot answers" },
    { topic: "cluster", subject: "store", state: "ok", found: "https://s3.test/bucket answers" },
  ]);
});

test("what is degraded is a problem that says what it means and what to do", () => {
  const silent = { id: "c", state: "silent" };
  const degraded = [
    { subject: "pg.test/entrepot", found: "it is away", means: "pulls go on", advice: "start it" },
  ];
  const ledger = { name: "pg.test/entrepot", state: "away" };
  expect(clusterFindings({ members: [...members, silent], ledger, degraded })).toMatchObject([
    { subject: "members", state: "note", found: "2 of 3 replicas are living, with 0.2.0" },
    {
      subject: "pg.test/entrepot",
      state: "problem",
      found: "the running cache says: it is away: pulls go on",
      advice: "start it",
    },
  ]);
});

test("a certificate for other replicas that has expired, or is of another name, is a problem", async () => {
  await using dir = await tempDir("cluster-certificate");
  const { certificate, key } = await makeCertificate(dir);
  const cluster = {
    listen: { host: "127.0.0.1", port: 5002 },
    secret: "0123456789abcdef",
    members: [],
    tls: { certificate, key },
  };
  const states = [1000, 3 * 86_400_000].map((ahead) =>
    clusterCertificateFindings({ cluster }, Date.now() + ahead).map(({ state }) => state),
  );
  expect(states).toEqual([["note"], ["problem"]]);
  const at = (advertise: string): unknown[] =>
    clusterCertificateFindings({ cluster: { ...cluster, advertise: new URL(advertise) } });
  expect(at("https://localhost:5002")).toHaveLength(1);
  expect(at("https://[::1]:5002")[1]).toMatchObject({
    state: "problem",
    found: "it is not for ::1, where other replicas reach this one",
  });
  expect(clusterCertificateFindings({})).toEqual([]);
});
