import { afterAll, beforeAll, describe, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { ContainerdLine } from "../../scripts/components/debian.mjs";
import { type Certificate, makeCertificate } from "../harness/services/certificates.ts";
import { type Entrepot, localUpstream, startEntrepot } from "../harness/cache/entrepot.ts";
import { unauthorized } from "../harness/faults/faults.ts";
import { busyboxImage, textImage } from "../harness/images/images.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { real, realTest } from "../harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "../harness/registries/scripted-upstream.ts";
import { entrepotNode, optionsFor } from "./program.ts";
import type { Registries, StartingPoint } from "./starting-point.ts";
import { startingPoints } from "./starting-points.ts";
import { LINES, type NodePaths, type SupervisedNode, isLong, startNode } from "./supervised.ts";
import { startSleeper } from "./sleeper.ts";
import { tree } from "./tree.ts";

const outside = Object.values(networkInterfaces())
  .flat()
  .find((it) => it?.family === "IPv4" && !it.internal)?.address;
const credentials = { username: "node", password: "s3cret-of-the-test" };

let upstream: ScriptedUpstream;
let secured: ScriptedUpstream;
let cache: Entrepot;
let certificate: Certificate;
let registries: Registries;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  const dir = stack.use(await tempDir());
  const address = outside ?? "127.0.0.1";
  certificate = await makeCertificate(dir, [address]);
  upstream = stack.use(await startScriptedUpstream());
  secured = stack.use(await startScriptedUpstream({ host: address, certificate }));
  upstream.add("org/hello", textImage({ text: "hello" }), "1");
  upstream.add("org/runs", await busyboxImage({ text: "runs" }), "1");
  secured.add("org/own", textImage({ text: "own" }), "1");
  const expected = `Basic ${btoa(`${credentials.username}:${credentials.password}`)}`;
  secured.respond(({ headers }) =>
    headers.get("authorization") === expected ? undefined : unauthorized('Basic realm="own"'),
  );
  cache = stack.use(
    await startEntrepot({
      config: { upstreams: { [upstream.address]: localUpstream(upstream.url) } },
    }),
  );
  registries = {
    cached: upstream.address,
    secured: secured.address,
    caCertificate: certificate.certificate,
    credentials,
  };
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

describe.each(LINES)("containerd %s", (line) => {
  let node: SupervisedNode;
  let sleeper: { pid: number };

  beforeAll(async () => {
    if (!real.available) return;
    const [first = expect.unreachable()] = startingPoints;
    node = await startNode(line, (paths) => filesOf(first, paths, line));
    await node.importPause();
    await node.pull(`${upstream.address}/org/runs:1`);
    sleeper = await startSleeper(node, `${upstream.address}/org/runs:1`);
  }, 240_000);

  afterAll(async () => node?.[Symbol.asyncDispose](), 30_000);

  for (const [number, point] of startingPoints.entries()) {
    if (point.lines && !point.lines.includes(line)) continue;
    // On each line some of them: a quarter of those that it has alone, and a tenth of all others. Long runs have all.
    const share = point.lines ? 4 : 10;
    if (!isLong && (number + LINES.indexOf(line)) % share !== 0) continue;
    realTest(point.name, () => wireAndRollBack(node, point), 60_000);
  }

  realTest("a container that was started before keeps running as the same process", () => {
    expect(readFileSync(`/proc/${sleeper.pid}/cmdline`, "utf8")).toContain("sleep");
  });
});

function filesOf(point: StartingPoint, paths: NodePaths, line: ContainerdLine) {
  const files = Object.entries(point.files(paths, registries, line));
  return Object.fromEntries(
    files.map(([name, text]) => [name, text === "@ca" ? registries.caCertificate : text]),
  );
}

async function wireAndRollBack(node: SupervisedNode, point: StartingPoint): Promise<void> {
  const { etc } = node.paths;
  const image = `${registries.cached}/org/hello:1`;
  const options = optionsFor(node);
  const desired = ["--cache", cache.url, ...(point.options ?? [])];
  node.replaceFiles(filesOf(point, node.paths, node.line));
  await node.restart();
  if (!point.criIsDead) await node.criReady();
  const [before, dump] = [tree(etc), await node.dump()];
  expect(dump).toContain("SystemdCgroup");

  const initial = await findings(node);
  expect(initial.problems).toEqual(expect.arrayContaining([...point.finds(node.line)]));
  if (point.finds(node.line).length === 0) expect(initial).toMatchObject({ problems: [], code: 0 });
  else expect(initial.code).toBe(1);

  if (point.blockedWithout !== undefined && point.options?.length) {
    const stopped = await entrepotNode(["plan", "--cache", cache.url, ...options]);
    expect(stopped).toMatchObject({ code: 1, text: expect.stringContaining(point.blockedWithout) });
  }
  const plan = await entrepotNode(["plan", ...desired, ...options]);
  expect(plan).toMatchObject({ code: 0, text: expect.stringContaining(`[host."${cache.url}"]`) });
  expect(tree(etc)).toEqual(before);

  const applied = await entrepotNode(["apply", ...desired, ...options, "--yes", "--probe", image]);
  expect(applied).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
  expect(await node.dump()).toBe(dump);
  const served = await lastServed();
  await node.pull(image);
  expect(await lastServed()).toBeGreaterThan(served);
  await node.removeImage(image);
  if (point.pullsSecured) {
    await node.pull(`${registries.secured}/org/own:1`);
    await node.removeImage(`${registries.secured}/org/own:1`);
  }
  const after = await findings(node);
  expect(after.problems.toSorted()).toEqual([...(point.remains?.(node.line) ?? [])].toSorted());
  // The apply itself must not cause any new notes.
  const withoutTimeout = (notes: readonly string[]): string[] =>
    notes.filter((code) => code === "hosts-no-dial-timeout");
  expect(withoutTimeout(after.notes).length).toBeLessThanOrEqual(
    withoutTimeout(initial.notes).length,
  );

  const secondApply = await entrepotNode(["apply", ...desired, ...options]);
  expect(secondApply).toMatchObject({
    code: 0,
    text: expect.stringContaining("Nothing to change"),
  });
  const back = await entrepotNode(["rollback", ...options, "--yes"]);
  expect(back).toMatchObject({ code: 0, text: expect.stringContaining("All files are restored") });
  expect(tree(etc)).toEqual(before);
}

async function findings(node: SupervisedNode): Promise<{
  problems: string[];
  notes: string[];
  code: number;
}> {
  const { code, text } = await entrepotNode(["check", "--json", ...optionsFor(node)]);
  const result = JSON.parse(text) as { findings: { code: string; severity: string }[] };
  const codes = (isNote: boolean): string[] =>
    result.findings
      .filter(({ severity }) => (severity === "note") === isNote)
      .map((finding) => finding.code);
  return { code, problems: codes(false), notes: codes(true) };
}

/** The time of the last request that the cache served. Its list has only the latest requests. */
async function lastServed(): Promise<number> {
  const body = (await (await cache.get("/entrepot/v1/served")).json()) as {
    served: { at: number }[];
  };
  return body.served.at(-1)?.at ?? 0;
}
