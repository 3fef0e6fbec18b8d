import { afterAll, beforeAll, expect } from "bun:test";
import { z } from "zod";
import { nodeSchema } from "../../src/api/nodes.ts";
import { type Entrepot, localUpstream, startEntrepot } from "../harness/cache/entrepot.ts";
import { textImage } from "../harness/images/images.ts";
import { real, realTest } from "../harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "../harness/registries/scripted-upstream.ts";
import { entrepotNode, optionsFor } from "./program.ts";
import { type SupervisedNode, startNode } from "./supervised.ts";

const WIDTH = 100;
/** A registry of which neither the node nor the cache has an image. */
const UNKNOWN = "unknown.test";

const nodesSchema = z.object({ items: z.array(nodeSchema) });

let upstream: ScriptedUpstream;
let cache: Entrepot;
let node: SupervisedNode;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  upstream = stack.use(await startScriptedUpstream());
  upstream.add("org/named", textImage({ text: "named" }), "1");
  upstream.add("org/offered", textImage({ text: "offered" }), "1");
  const settings = localUpstream(upstream.url);
  const upstreams = { [upstream.address]: settings, [UNKNOWN]: settings, "docker.io": settings };
  cache = stack.use(await startEntrepot({ config: { upstreams } }));
  node = stack.use(await startNode("1.7"));
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

interface Verified {
  readonly namespaces: readonly {
    readonly namespace: string;
    readonly state: string;
    readonly probe: { readonly reference?: string; readonly detail: string };
  }[];
}

async function verified(...args: readonly string[]): Promise<{ code: number } & Verified> {
  const { code, text } = await entrepotNode(["verify", "--json", ...args, ...optionsFor(node)]);
  return { code, ...(JSON.parse(text) as Verified) };
}

/** What the node last told the cache of itself. */
async function wiringTold() {
  const { items } = nodesSchema.parse(await (await cache.getAdmin("/api/v1/nodes")).json());
  const told = items.find(({ wired }) => wired !== undefined)?.wired;
  return [told?.state, told?.runtimes];
}

realTest(
  "an apply and a verify without options succeed where no image is known to prove a registry with",
  async () => {
    const apply = ["apply", "--cache", cache.url, "--yes", ...optionsFor(node)];
    const strict = await entrepotNode([...apply, "--require-proof"]);
    expect(strict).toMatchObject({
      code: 1,
      text: expect.stringContaining("All changes were reverted"),
    });

    const applied = await entrepotNode(apply);
    expect(applied.text).toContain("Unproven, as there was no image to prove it with");
    expect(applied.code).toBe(0);

    const shown = await entrepotNode(["verify", ...optionsFor(node)]);
    expect(shown.text).toContain("--probe");
    expect(shown.text.split("\n").filter((line) => line.length > WIDTH)).toEqual([]);
    expect(shown.code).toBe(0);
    expect((await verified("--require-proof")).code).toBe(1);

    // The cache has been filled meanwhile, by another node.
    const { digest } = textImage({ text: "offered" }).manifest;
    await node.pull(`${upstream.address}/org/offered:1`);
    await node.removeImage(`${upstream.address}/org/offered:1`);
    upstream.forget();
    const { code, namespaces } = await verified();
    expect(code).toBe(0);
    expect(namespaces).toMatchObject([
      {
        state: "proven",
        probe: { reference: `${upstream.address}/org/offered@${digest}` },
      },
      { state: "unproven" },
      {
        // The well-known image of this registry, which the upstream does not have.
        state: "unproven",
        probe: { detail: expect.stringContaining("the cache answered 404 MANIFEST_UNKNOWN") },
      },
    ]);
    expect(upstream.requests({ repository: "org/offered" })).toEqual([]);
    expect(await entrepotNode(["rollback", "--yes", ...optionsFor(node)])).toMatchObject({
      code: 0,
    });
  },
  120_000,
);

realTest(
  "what proved a registry in an apply proves it in a verify, and a failure says what the cache answered",
  async () => {
    const named = `${upstream.address}/org/named:1`;
    const args = ["--upstream", upstream.address, "--probe", named, "--yes"];
    const report = ["--report", cache.adminUrl];
    const applied = await entrepotNode([
      "apply",
      "--cache",
      cache.url,
      ...args,
      ...report,
      ...optionsFor(node),
    ]);
    expect(applied).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
    expect(await wiringTold()).toEqual(["proved", ["containerd"]]);
    expect(await verified()).toMatchObject({
      code: 0,
      namespaces: [{ state: "proven", probe: { reference: named } }],
    });

    const missing = `${upstream.address}/org/none:1`;
    const failed = await verified("--probe", missing, ...report);
    expect(await wiringTold()).toEqual(["drifted", ["containerd"]]);
    expect(failed).toMatchObject({ code: 1, namespaces: [{ state: "failed" }] });
    const [detail] = failed.namespaces.map(({ probe }) => probe.detail);
    expect(detail).toContain("the cache answered 404 MANIFEST_UNKNOWN");
    expect(detail).toContain("--probe");
    // The port for nodes takes no reports.
    const refused = ["verify", "--probe", missing, "--report", cache.url];
    const shown = await entrepotNode([...refused, ...optionsFor(node)]);
    expect(shown.text).toContain(`entrepot: not reported to ${cache.url}: `);
    expect(shown.text.split("\n").filter((line) => line.length > WIDTH)).toEqual([]);
    const back = await entrepotNode(["rollback", "--yes", ...report, ...optionsFor(node)]);
    expect(back).toMatchObject({ code: 0 });
    expect(await wiringTold()).toEqual(["unwired", []]);
    const odd = await entrepotNode(["verify", "--report", "http://a:1/x", ...optionsFor(node)]);
    expect(odd).toMatchObject({
      code: 2,
      text: expect.stringContaining("write http://cache:5001"),
    });
  },
  120_000,
);
