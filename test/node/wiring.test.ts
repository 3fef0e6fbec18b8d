import { afterAll, beforeAll, describe, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { ContainerdLine } from "../../scripts/debian.mjs";
import { type Certificate, makeCertificate } from "../harness/certificates.ts";
import { type Entrepot, localUpstream, startEntrepot } from "../harness/entrepot.ts";
import { unauthorized } from "../harness/faults.ts";
import { busyboxImage, textImage } from "../harness/images.ts";
import { tempDir } from "../harness/places.ts";
import { real, realTest } from "../harness/real.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "../harness/scripted-upstream.ts";
import { entrepotNode, placesOf } from "./program.ts";
import type { Registries, StartingPoint } from "./starting-point.ts";
import { startingPoints } from "./starting-points.ts";
import { LINES, type NodePlaces, type SupervisedNode, isLong, startNode } from "./supervised.ts";
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
    authority: certificate.certificate,
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
    node = await startNode(line, (places) => filesOf(first, places, line));
    await node.importPause();
    await node.pull(`${upstream.address}/org/runs:1`);
    sleeper = await startSleeper(node, `${upstream.address}/org/runs:1`);
  }, 60_000);

  afterAll(async () => node?.[Symbol.asyncDispose](), 30_000);

  for (const [number, point] of startingPoints.entries()) {
    if (point.lines && !point.lines.includes(line)) continue;
    // All of them on the oldest line; elsewhere what one line alone has, and a fifth of the others.
    if (!isLong && line !== "1.6" && !point.lines && number % 5 !== 0) continue;
    realTest(point.name, () => wireAndTakeBack(node, point), 60_000);
  }

  realTest("a container that ran before all of this runs still, as the same process", () => {
    expect(readFileSync(`/proc/${sleeper.pid}/cmdline`, "utf8")).toContain("sleep");
  });
});

function filesOf(point: StartingPoint, places: NodePlaces, line: ContainerdLine) {
  const files = Object.entries(point.files(places, registries, line));
  return Object.fromEntries(
    files.map(([name, text]) => [name, text === "@authority" ? registries.authority : text]),
  );
}

async function wireAndTakeBack(node: SupervisedNode, point: StartingPoint): Promise<void> {
  const { etc } = node.places;
  const image = `${registries.cached}/org/hello:1`;
  const places = placesOf(node);
  const wish = ["--cache", cache.url, ...(point.options ?? [])];
  node.lay(filesOf(point, node.places, node.line));
  await node.restart();
  if (!point.criIsDead) await node.criReady();
  const [before, dump] = [tree(etc), await node.dump()];
  expect(dump).toContain("SystemdCgroup");

  const check = await findings(node);
  expect(check.wrong).toEqual(expect.arrayContaining([...point.finds(node.line)]));
  if (point.finds(node.line).length === 0) expect(check).toMatchObject({ wrong: [], code: 0 });
  else expect(check.code).toBe(1);

  if (point.stopsWithout !== undefined && point.options?.length) {
    const stopped = await entrepotNode(["plan", "--cache", cache.url, ...places]);
    expect(stopped).toMatchObject({ code: 1, text: expect.stringContaining(point.stopsWithout) });
  }
  const plan = await entrepotNode(["plan", ...wish, ...places]);
  expect(plan).toMatchObject({ code: 0, text: expect.stringContaining(`[host."${cache.url}"]`) });
  expect(tree(etc)).toEqual(before);

  const applied = await entrepotNode(["apply", ...wish, ...places, "--yes", "--probe", image]);
  expect(applied).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
  expect(await node.dump()).toBe(dump);
  const served = await lastServed();
  await node.pull(image);
  expect(await lastServed()).toBeGreaterThan(served);
  await node.forget(image);
  if (point.pullsSecured) {
    await node.pull(`${registries.secured}/org/own:1`);
    await node.forget(`${registries.secured}/org/own:1`);
  }
  const after = await findings(node);
  expect(after.wrong.toSorted()).toEqual([...(point.keeps?.(node.line) ?? [])].toSorted());
  // What is written by the apply itself is nothing to be told of.
  const untimed = (notes: readonly string[]): string[] =>
    notes.filter((code) => code === "hosts-no-dial-timeout");
  expect(untimed(after.notes).length).toBeLessThanOrEqual(untimed(check.notes).length);

  const again = await entrepotNode(["apply", ...wish, ...places]);
  expect(again).toMatchObject({ code: 0, text: expect.stringContaining("Nothing had to change") });
  const back = await entrepotNode(["rollback", ...places, "--yes"]);
  expect(back).toMatchObject({ code: 0, text: expect.stringContaining("Every byte") });
  expect(tree(etc)).toEqual(before);
}

async function findings(node: SupervisedNode): Promise<{
  wrong: string[];
  notes: string[];
  code: number;
}> {
  const { code, text } = await entrepotNode(["check", "--json", ...placesOf(node)]);
  const answer = JSON.parse(text) as { findings: { code: string; severity: string }[] };
  const codes = (isNote: boolean): string[] =>
    answer.findings
      .filter(({ severity }) => (severity === "note") === isNote)
      .map((finding) => finding.code);
  return { code, wrong: codes(false), notes: codes(true) };
}

/** When the cache served something for the last time: its list itself holds the last few alone. */
async function lastServed(): Promise<number> {
  const answer = (await (await cache.get("/entrepot/v1/served")).json()) as {
    served: { at: number }[];
  };
  return answer.served.at(-1)?.at ?? 0;
}
