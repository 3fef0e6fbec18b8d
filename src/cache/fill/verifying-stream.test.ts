import { describe, expect, test } from "bun:test";
import { newHasher } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { VerifyingStream, type VerifyingStreamOptions } from "./verifying-stream.ts";
import {
  type Behaviour,
  sampleBlob,
  ScriptedSource,
  unreachable,
} from "../cachetest/scripted-source.ts";

const { bytes, digest } = sampleBlob(300_000);
const WITHHELD = 64 * 1024;

interface Outcome {
  readonly received: Uint8Array;
  readonly fault?: Fault;
}

async function readAll(
  script: Behaviour[],
  options: Partial<VerifyingStreamOptions> = {},
): Promise<Outcome & { source: ScriptedSource }> {
  const source = new ScriptedSource(bytes, script);
  const stream = new VerifyingStream({ digest, sources: [source], first: 0, ...options });
  const chunks: Uint8Array[] = [];
  try {
    await stream.start();
    for (;;) {
      const chunk = await stream.read();
      if (!chunk) return { received: Buffer.concat(chunks), source };
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof Fault) return { received: Buffer.concat(chunks), fault: error, source };
    throw error;
  }
}

describe("a verifying stream", () => {
  test.each([
    ["of an unbroken transfer", {}, [{}]],
    ["of a transfer without a size", {}, [{ size: "unknown" }]],
    ["of a transfer that breaks", {}, [{ breaksAfter: 100_000 }, {}]],
    [
      "of a transfer that breaks, after which the source ignores the range",
      {},
      [{ breaksAfter: 9_999 }, { ignoresOffset: true }],
    ],
    [
      "of a transfer that breaks, after which the source fails once",
      {},
      [{ breaksAfter: 100_000 }, { fault: unreachable("x") }, {}],
    ],
  ] satisfies [string, Partial<VerifyingStreamOptions>, Behaviour[]][])(
    "sends every byte %s",
    async (_, options, script) => {
      const { received, fault } = await readAll(script, options);
      expect(fault).toBeUndefined();
      expect(Buffer.compare(received, bytes)).toBe(0);
    },
  );

  test("continues at a resume point, and still verifies the whole blob", async () => {
    const from = { length: 120_000, hasher: newHasher(digest).update(bytes.subarray(0, 120_000)) };
    const { received, source } = await readAll([{}], { first: 125_000, from });
    expect(Buffer.compare(received, bytes.subarray(125_000))).toBe(0);
    expect(source.offsets).toEqual([120_000]);
    const wrongHash = { length: 120_000, hasher: newHasher(digest).update("something else") };
    const wrong = await readAll([{}], { first: 125_000, from: wrongHash });
    expect(wrong.fault?.detail.kind).toBe("upstream-invalid-response");
    expect(wrong.received.byteLength).toBeLessThanOrEqual(bytes.byteLength - 125_000 - WITHHELD);
  });

  test.each([{}, { size: "unknown" as const }])(
    "withholds the tail of wrong bytes: %j",
    async (more) => {
      const flipped = bytes.slice();
      flipped[10] = (flipped[10] ?? 0) ^ 1;
      const { received, fault } = await readAll([{ bytes: flipped, ...more }]);
      expect(fault?.detail.kind).toBe("upstream-invalid-response");
      expect(received.byteLength).toBeLessThanOrEqual(bytes.byteLength - WITHHELD);
    },
  );

  test.each([
    [0, 10],
    [1000, 250_000],
    [299_000, 300_000],
  ])("sends the range from %d to %d", async (first, end) => {
    const { received } = await readAll([{}], { first, end, size: bytes.byteLength });
    expect(Buffer.compare(received, bytes.subarray(first, end))).toBe(0);
  });

  test("fails if its source announces another size", async () => {
    const { fault } = await readAll([{}], { size: 5 });
    expect(fault?.detail.kind).toBe("upstream-invalid-response");
  });

  test("fails if its source fails for good after a broken transfer", async () => {
    const script = Array.from({ length: 8 }, () => ({
      fault: new Fault({ kind: "upstream-denied", upstream: "x", name: "y", status: 403 }),
    }));
    const { fault } = await readAll([{ breaksAfter: 1000 }, ...script]);
    expect(fault?.detail.kind).toBe("upstream-denied");
  });

  test("fails if its source was too slow, unless that has another host", async () => {
    const slow = { breaksAfter: 1000, isTooSlow: true };
    const { fault } = await readAll([slow]);
    expect(fault?.detail).toMatchObject({ kind: "upstream-timeout", isTooSlow: true });
    const { received } = await readAll([{ ...slow, isMirror: true }]);
    expect(Buffer.compare(received, bytes)).toBe(0);
  });
});
