import { expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import type { LocalReplica } from "./plan.ts";
import { ReplicaProcesses } from "./replica-processes.ts";

const address = { host: "127.0.0.1", port: 1 };
const replica: LocalReplica = {
  number: 2,
  listen: address,
  admin: address,
  cluster: address,
  data: "/nowhere",
};

/** A shell script in the place of a replica. */
function running(script: string, restartAfter: number) {
  const [lines, told]: [string[], string[]] = [[], []];
  const processes = new ReplicaProcesses({
    commandOf: () => ({ command: ["sh", "-c", script], env: { NAME: "second" } }),
    printed: ({ number }, line) => lines.push(`${number} ${line}`),
    tell: (text) => told.push(text.replace(/\d+$/, "N")),
    restartAfter,
  });
  processes.start(replica);
  return { lines, told, processes };
}

test("a replica that ends is started again, and what it printed is told with its number", async () => {
  const { lines, told, processes } = running("echo $NAME; printf last >&2; kill -9 $$", 1);
  await until(() => lines.length >= 4, { what: "a second start" });
  await processes.stop("SIGTERM");
  expect(new Set(lines)).toEqual(new Set(["2 second", "2 last"]));
  expect(told.slice(0, 3)).toEqual([
    "replica 2 is process N",
    "replica 2 has ended (SIGKILL): it is started again in 0.001 s",
    "replica 2 is process N",
  ]);
});

test("a replica that fails by itself is not started again", async () => {
  const { lines, told, processes } = running("echo no port; exit 2", 1);
  expect(await processes.failed).toBe(2);
  await processes.stop("SIGTERM");
  await until(() => lines.length > 0, { what: "what it has printed" });
  expect(lines).toEqual(["2 no port"]);
  expect(told).toEqual([
    "replica 2 is process N",
    "replica 2 has failed (exit code 2): all are stopped",
  ]);
});

test("replicas that are told to stop are waited for, and not started again", async () => {
  const { lines, told, processes } = running(
    "trap 'echo stopped; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
    1,
  );
  await until(() => lines.includes("2 ready"), { what: "the start" });
  await processes.stop("SIGTERM");
  expect(lines.at(-1)).toBe("2 stopped");
  expect(told).toHaveLength(1);
});
