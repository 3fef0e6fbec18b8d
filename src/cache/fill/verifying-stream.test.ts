import { describe, expect, test } from "bun:test";
import { newHasher } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { VerifyingStream, type VerifyingStreamOptions } from "./verifying-stream.ts";
import {
  type Behaviour,
  content,
  ScriptedSource,
  unreachable,
} from "../cachetest/scripted-source.ts";

const { bytes, digest } = content(300_000);
const HELD_BACK = 64 * 1024;

interface Read {
  readonly received: Uint8Array;
  readonly fault?: Fault;
}

async function readAll(
  script: Behaviour[],
  relayed: Partial<VerifyingStreamOptions> = {},
): Promise<Read & { source: ScriptedSource }> {
  const source = new ScriptedSource(bytes, script);
  const relay = new VerifyingStream({ digest, sources: [source], first: 0, ...relayed });
  const pieces: Uint8Array[] = [];
  try {
    await relay.start();
    for (;;) {
      const piece = await relay.read();
      if (!piece) return { received: Buffer.concat(pieces), source };
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof Fault) return { received: Buffer.concat(pieces), fault: error, source };
    throw error;
  }
}

describe("a content that cannot be stored", () => {
  test.each([
    ["as it comes", {}, [{}]],
    ["without a size", {}, [{ size: "unknown" }]],
    ["with a break", {}, [{ breaksAfter: 100_000 }, {}]],
    [
      "with a break before a source that knows no ranges",
      {},
      [{ breaksAfter: 9_999 }, { ignoresOffset: true }],
    ],
    ["with a failure in between", {}, [{ breaksAfter: 100_000 }, { fault: unreachable("x") }, {}]],
  ] satisfies [string, Partial<VerifyingStreamOptions>, Behaviour[]][])(
    "comes whole %s",
    async (_, relayed, script) => {
      const { received, fault } = await readAll(script, relayed);
      expect(fault).toBeUndefined();
      expect(Buffer.compare(received, bytes)).toBe(0);
    },
  );

  test("goes on after what somebody had already, and is still checked as a whole", async () => {
    const from = { length: 120_000, hasher: newHasher(digest).update(bytes.subarray(0, 120_000)) };
    const { received, source } = await readAll([{}], { first: 125_000, from });
    expect(Buffer.compare(received, bytes.subarray(125_000))).toBe(0);
    expect(source.offsets).toEqual([120_000]);
    const other = { length: 120_000, hasher: newHasher(digest).update("something else") };
    const wrong = await readAll([{}], { first: 125_000, from: other });
    expect(wrong.fault?.detail.kind).toBe("upstream-invalid-response");
    expect(wrong.received.byteLength).toBeLessThanOrEqual(bytes.byteLength - 125_000 - HELD_BACK);
  });

  test.each([{}, { size: "unknown" as const }])(
    "is not given out whole where it is wrong: %j",
    async (more) => {
      const flipped = bytes.slice();
      flipped[10] = (flipped[10] ?? 0) ^ 1;
      const { received, fault } = await readAll([{ bytes: flipped, ...more }]);
      expect(fault?.detail.kind).toBe("upstream-invalid-response");
      expect(received.byteLength).toBeLessThanOrEqual(bytes.byteLength - HELD_BACK);
    },
  );

  test.each([
    [0, 10],
    [1000, 250_000],
    [299_000, 300_000],
  ])("gives the range from %d to %d", async (first, end) => {
    const { received } = await readAll([{}], { first, end, size: bytes.byteLength });
    expect(Buffer.compare(received, bytes.subarray(first, end))).toBe(0);
  });

  test("is refused where its source has another size", async () => {
    const { fault } = await readAll([{}], { size: 5 });
    expect(fault?.detail.kind).toBe("upstream-invalid-response");
  });

  test("is given up where its source breaks for good", async () => {
    const script = Array.from({ length: 8 }, () => ({
      fault: new Fault({ kind: "upstream-denied", upstream: "x", name: "y", status: 403 }),
    }));
    const { fault } = await readAll([{ breaksAfter: 1000 }, ...script]);
    expect(fault?.detail.kind).toBe("upstream-denied");
  });
});
