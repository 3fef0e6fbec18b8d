import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { statusSchema } from "../src/api/status.ts";
import { command } from "./harness/cache/commands.ts";
import { randomContent } from "./harness/images/content.ts";
import type { Entrepot } from "./harness/cache/entrepot.ts";
import { freePort } from "./harness/free-port.ts";
import { metric } from "./harness/cache/metrics.ts";
import { digestFrom, startReplicas } from "./harness/replicas/replicas.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

/** The problems of a replica's cluster, as `kind subject`. */
async function problemsOf(replica: Entrepot): Promise<string[]> {
  const status = statusSchema.parse(await (await replica.getAdmin("/api/v1/status")).json());
  return (status.cluster?.degraded ?? []).map(({ kind, subject }) => `${kind} ${subject}`).sort();
}

/** State, topic and subject of a row of the doctor. */
function briefly(row: string): string {
  return row.split(/ {2,}/).slice(0, 3).join(" ");
}

test("members with another secret, that are somebody else's, or not there: each is named, and the replica serves alone", async () => {
  await using dir = await tempDir("cluster-status");
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(200_000);
  upstream.addBlob("app", blob);
  const otherSecret = dir.file("other-secret");
  await writeFile(otherSecret, "another secret of another cluster");
  using foreign = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response("welcome"),
  });
  using database = Bun.listen({
    port: 0,
    hostname: "127.0.0.1",
    socket: { data: (socket) => void socket.write("E\u001b[31m\r\nSFATAL\r\n\r\n") },
  });
  const at = (port: number | undefined): string => `http://127.0.0.1:${port}`;
  const [foreignUrl, databaseUrl, nobody] = [foreign.port, database.port, freePort()].map(at);
  await using replicas = await startReplicas({
    url: upstream.url,
    count: 2,
    knowEachOther: false,
    cluster: (number, members) =>
      number === 0
        ? { members: [...members, foreignUrl, databaseUrl, nobody] }
        : { secretFile: otherSecret },
  });
  const [replica] = replicas.all;
  const [own, other] = replicas.members;
  if (!replica) throw new Error("no replica was started");
  const expected = [
    `foreign-member ${foreignUrl}`,
    `foreign-member ${databaseUrl}`,
    `silent-member ${nobody}`,
    `wrong-secret ${other}`,
  ].toSorted();
  await until(async () => Bun.deepEquals(await problemsOf(replica), expected), {
    what: `the problems ${expected.join(", ")}`,
  });
  expect(await digestFrom(replica, "app", blob)).toBe(blob.digest);

  const status = await command(replica, "status");
  expect(status.code).toBe(1);
  expect(status.stdout).toContain("\nCluster    5 replicas, 1 silent, 3 unusable\n");
  const rowOf = (url = ""): string | undefined =>
    status.stdout.split("\n").find((line) => line.startsWith(`${url}  `));
  expect(
    [other, foreignUrl, databaseUrl, nobody].map((url) => rowOf(url)?.split(/ {2,}/)[1]),
  ).toEqual(["other secret", "no replica", "no replica", "silent"]);
  const lines = status.stdout.split("\n");
  const problem = (subject = ""): string | undefined =>
    lines.find((line) => line.startsWith(`  ${subject} `));
  expect(problem(other)).toContain("Give all replicas the same cluster.secretFile");
  expect(problem(foreignUrl)).toContain(" is no replica of Entrepot (");
  expect(problem(databaseUrl)).toContain("(what it answers is no HTTP)");
  expect(problem(nobody)).toContain(" does not answer (");

  const doctor = await command(replica, "doctor", "--offline");
  expect(doctor.code).toBe(1);
  const rows = doctor.stdout.split("\n").filter((line) => / {2}cluster {2}/.test(line));
  expect(rows.map(briefly).toSorted()).toEqual(
    [
      "note cluster members",
      ...[foreignUrl, databaseUrl, nobody, other].map((url) => `problem cluster ${url}`),
    ].toSorted(),
  );
  expect(await metric(replica, 'entrepot_cluster_problem{problem="wrong-secret"}')).toBe(1);

  // Where it does not run, the doctor asks the members itself.
  await replica.stop();
  const alone = await command(replica, "doctor", "--offline");
  expect(
    alone.stdout
      .split("\n")
      .filter((line) => / {2}cluster {2}/.test(line))
      .map(briefly),
  ).toEqual([
    `ok cluster ${own}`,
    ...[other, foreignUrl, databaseUrl, nobody].map((url) => `problem cluster ${url}`),
  ]);
});
