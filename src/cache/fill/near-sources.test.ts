import { describe, expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import { Fault } from "../../oci/fault.ts";
import type { Source } from "../fetch/source.ts";
import type { FillOptions } from "./fill-options.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import {
  type Behaviour,
  sampleBlob,
  ScriptedSource,
  unreachable,
} from "../cachetest/scripted-source.ts";
import { Fill } from "./fill.ts";
import { follow } from "./follow.ts";

const MIB = 1024 * 1024;
const { bytes, digest } = sampleBlob(MIB);
const wrong = sampleBlob(MIB, 2).bytes;
const PATIENT = { firstByteMs: 60_000, stallMs: 60_000 };
const IMPATIENT = { firstByteMs: 1, stallMs: 1 };

function near(script: Behaviour[], limits: Source["near"] = PATIENT, name = "1"): ScriptedSource {
  const source = new ScriptedSource(bytes, script, `near.test/${name}`);
  source.near = limits;
  return source;
}

async function filled(
  sources: readonly ScriptedSource[],
  upstream = new ScriptedSource(bytes),
  options: FillOptions = {},
): Promise<{ readonly fill: Fill; readonly upstream: ScriptedSource }> {
  const fill = new Fill(digest, new MemoryBlobStore(), upstream, { near: sources, ...options });
  expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
  return { fill, upstream };
}

const gone = new Fault({ kind: "not-found", what: "blob", upstream: "near.test", name: digest });

describe("a source beside the upstream", () => {
  test("is asked for all, and the upstream for nothing", async () => {
    const source = near([]);
    const { upstream, fill } = await filled([source]);
    expect([source.offsets, upstream.offsets]).toEqual([[0], []]);
    expect(fill.sources.answeredAgo(source.vouchesFor)).toBeDefined();
    expect(fill.sources.answeredAgo(upstream.vouchesFor)).toBeUndefined();
    expect(fill.sources.isFromUpstream).toBe(false);
  });

  test.each<[string, Behaviour]>([
    ["breaks", { breaksAfter: 300_000 }],
    ["breaks with an error of the runtime", { breaksAfter: 300_000, fault: new TypeError("no") }],
    ["ends early", { bytes: bytes.slice(0, 300_000), size: MIB }],
  ])("that %s is asked no more: the next one goes on at its offset", async (_, behaviour) => {
    const [one, two] = [near([behaviour]), near([{ breaksAfter: 50_000 }], PATIENT, "2")];
    const { upstream, fill } = await filled([one, two]);
    expect([one, two, upstream].map(({ offsets }) => offsets)).toEqual([[0], [300_000], [350_000]]);
    expect(fill.sources.isFromUpstream).toBe(true);
    expect(upstream.sent).toBe(MIB - 350_000);
  });

  test.each<[string, Error]>([
    ["does not have it", gone],
    ["fails", unreachable("near.test")],
    ["fails as no source should", Object.assign(new Error("reset"), { code: "ECONNRESET" })],
    ["says that its disk failed", new Fault({ kind: "storage", reason: "the disk is gone" })],
  ])("that %s costs nothing but the question", async (_, fault) => {
    const source = near([{ fault }]);
    const { upstream } = await filled([source]);
    expect([source.offsets, upstream.offsets]).toEqual([[0], [0]]);
  });

  test("that sends wrong bytes has the blob downloaded anew from elsewhere", async () => {
    const source = near([{ bytes: wrong }]);
    const { upstream } = await filled([source]);
    expect(source.corruptReports).toHaveLength(1);
    expect([source.offsets, upstream.offsets]).toEqual([[0], [0]]);
  });

  test("is blamed as well as the upstream, if one of them sent wrong bytes", async () => {
    const source = near([{ bytes: wrong, breaksAfter: 300_000 }]);
    const { upstream } = await filled([source]);
    expect([source.offsets, upstream.offsets]).toEqual([[0], [300_000, 0]]);
  });

  test("that announces another size than the manifest is not believed", async () => {
    const source = near([{ size: MIB + 1 }]);
    const { upstream } = await filled([source], undefined, { size: MIB });
    expect([source.offsets, upstream.offsets]).toEqual([[0], [0]]);
  });

  test.each([0, 300_000])("that is silent after %i bytes is given up", async (hangsAfter) => {
    const source = near([{ hangsAfter }], IMPATIENT);
    const { upstream } = await filled([source]);
    // On a busy machine, it may be given up before.
    expect(upstream.offsets).toEqual([source.sent]);
    expect(source.offsets).toEqual([0]);
  });

  test("that is silent, but alive, is waited for", async () => {
    let asked = 0;
    const isAlive = async (): Promise<boolean> => ++asked < 3;
    const source = near([{ hangsAfter: 0 }], { ...IMPATIENT, isAlive });
    await filled([source]);
    expect(asked).toBe(3);
  });

  test("has its failures cost no client its download", async () => {
    const source = near([{ breaksAfter: 300_000, fault: new TypeError("not an object") }]);
    const upstream = new ScriptedSource(bytes);
    const fill = new Fill(digest, new MemoryBlobStore(), upstream, { near: [source] });
    await fill.started;
    const clients = Array.from({ length: 8 }, () =>
      new Response(follow(fill, { first: 0, giveUp: () => {} })).bytes(),
    );
    for (const received of await Promise.all(clients)) expect(received).toEqual(bytes);
    expect(upstream.offsets).toEqual([300_000]);
  });
});

describe("a source that is offered to a running fill", () => {
  /** A fill that has received so much of its upstream, which then sends nothing until it is read. */
  async function running(script: Behaviour[]): Promise<{ fill: Fill; upstream: ScriptedSource }> {
    const upstream = new ScriptedSource(bytes, script);
    const fill = new Fill(digest, new MemoryBlobStore(), upstream, { size: MIB });
    await fill.started;
    return { fill, upstream };
  }

  test("sends the rest in place of the upstream", async () => {
    const { fill, upstream } = await running([]);
    const offered = near([]);
    fill.sources.offer(offered);
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect(upstream.offsets).toEqual([0]);
    expect(offered.offsets).toHaveLength(1);
    // Both may have sent what was on its way.
    expect(upstream.sent).toBeLessThan(MIB / 2);
    expect(fill.sources.isFromUpstream).toBe(true);
  });

  test.each<[string, number, Behaviour]>([
    ["breaks", 300_000, { breaksAfter: 300_000 }],
    ["does not have it after all", 0, { fault: gone }],
    ["announces another size", 0, { size: MIB + 1 }],
  ])("and %s has the upstream go on at its offset", async (_, used, behaviour) => {
    const { fill, upstream } = await running([]);
    const offered = near([behaviour]);
    fill.sources.offer(offered);
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect(upstream.offsets).toEqual([0, (offered.offsets[0] ?? 0) + used]);
  });

  test("is asked where the upstream breaks, and before it is tried again", async () => {
    const { fill, upstream } = await running([{ hangsAfter: 300_000 }]);
    const offered = near([]);
    await until(() => fill.received === 300_000, { what: "the upstream to hang" });
    fill.sources.offer(offered);
    expect(await (await fill.stored).bytes.bytes()).toEqual(bytes);
    expect([upstream.offsets, offered.offsets]).toEqual([[0], [300_000]]);
  });
});

test("an error of the runtime in an upstream's body has the fill go on, and not each client by itself", async () => {
  const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
  const upstream = new ScriptedSource(bytes, [{ breaksAfter: 300_000, fault: reset }]);
  const fill = new Fill(digest, new MemoryBlobStore(), upstream);
  await fill.started;
  const clients = Array.from({ length: 8 }, () =>
    new Response(follow(fill, { first: 0, giveUp: () => {} })).bytes(),
  );
  for (const received of await Promise.all(clients)) expect(received).toEqual(bytes);
  expect(upstream.offsets).toEqual([0, 300_000]);
});
