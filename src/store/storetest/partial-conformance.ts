import { expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import type { BlobStore } from "../blob-store.ts";
import { partialName } from "../partial-name.ts";
import { sampleBytes } from "./sample-bytes.ts";
import { appendAll, rejection } from "./writing.ts";

/** The partial downloads of a `BlobStore`, and what is written ahead: part of `blobStoreConformance`. */
export function partialConformance(store: () => BlobStore): void {
  const blob = sampleBytes(700_001);
  const digest = digestOf(blob);

  test("a suspended writer leaves a partial download, which is listed and can be removed", async () => {
    const writer = await store().writer(digest, "reg.test");
    const name = partialName(digest, "reg.test");
    await appendAll(writer, blob.subarray(0, 300_000));
    expect(await store().removePartial(name)).toBe(false);
    await writer.suspend();
    const [partial] = await Array.fromAsync(store().partials());
    expect([partial?.name, partial?.digest, partial?.size]).toEqual([name, digest, 300_000]);
    expect(await store().removePartial(name)).toBe(true);
    const fresh = await store().writer(digest, "reg.test");
    expect(fresh.length).toBe(0);
    await fresh.discard();
  });

  test("bytes that were written ahead are appended once the beginning has reached them", async () => {
    const writer = await store().writer(digest);
    const pieces = [blob.subarray(600_000), blob.subarray(200_000, 350_000)];
    // Two that touch each other, and one at the end, none in order.
    await Promise.all([
      writer.writeAhead(600_000, [
        pieces[0]?.subarray(0, 5) ?? blob,
        pieces[0]?.subarray(5) ?? blob,
      ]),
      writer.writeAhead(200_000, [pieces[1] ?? blob]),
    ]);
    await writer.writeAhead(350_000, [blob.subarray(350_000, 400_000)]);
    expect(writer.ahead).toEqual([
      { first: 200_000, end: 400_000 },
      { first: 600_000, end: 700_001 },
    ]);
    expect([writer.length, writer.written]).toEqual([0, 300_001]);
    expect(await writer.read(250_000, 380_000)).toEqual(blob.slice(250_000, 380_000));
    expect(await rejection(writer.read(199_999, 200_001))).toBeInstanceOf(RangeError);
    expect(await writer.absorb()).toBe(false);
    await appendAll(writer, blob.subarray(0, 200_000));
    expect(await writer.absorb()).toBe(true);
    expect([writer.length, writer.written]).toEqual([400_000, 500_001]);
    expect(await rejection(writer.writeAhead(399_999, [blob]))).toBeInstanceOf(RangeError);
    await appendAll(writer, blob.subarray(400_000, 600_000));
    expect(await writer.absorb()).toBe(true);
    expect(await writer.absorb()).toBe(false);
    expect([writer.ahead, writer.length]).toEqual([[], 700_001]);
    expect(writer.verify()).toBe(true);
    expect(await rejection(writer.writeAhead(700_001, [blob]))).toBeInstanceOf(Error);
    const stored = await writer.commit();
    expect(await stored.bytes.bytes()).toEqual(blob);
    expect(await Array.fromAsync(store().partials())).toEqual([]);
  });

  test("what was written ahead is resumed with what was appended", async () => {
    const first = await store().writer(digest);
    await first.writeAhead(500_000, [blob.subarray(500_000, 600_000)]);
    await first.suspend();
    const second = await store().writer(digest);
    expect([second.length, second.ahead]).toEqual([0, [{ first: 500_000, end: 600_000 }]]);
    await appendAll(second, blob.subarray(0, 300_000));
    await second.suspend();
    const third = await store().writer(digest);
    expect([third.length, third.ahead]).toEqual([300_000, [{ first: 500_000, end: 600_000 }]]);
    await appendAll(third, blob.subarray(300_000, 500_000));
    while (await third.absorb());
    await appendAll(third, blob.subarray(600_000));
    expect(third.verify()).toBe(true);
    expect(await (await third.commit()).bytes.bytes()).toEqual(blob);
    // Nothing of it is left for the next download of this digest.
    await store().remove(digest);
    const again = await store().writer(digest);
    expect([again.length, again.ahead]).toEqual([0, []]);
    await again.discard();
  });

  test("bytes that were written ahead of what turns out to be the end are not stored", async () => {
    const writer = await store().writer(digest);
    await writer.writeAhead(blob.byteLength + 5, [blob.subarray(0, 100)]);
    await appendAll(writer, blob);
    expect(writer.verify()).toBe(true);
    const stored = await writer.commit();
    expect([stored.size, await stored.bytes.bytes()]).toEqual([blob.byteLength, blob]);
  });
}
