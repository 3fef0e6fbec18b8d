import { expect, test } from "bun:test";
import { OCI_INDEX } from "../../oci/media-types.ts";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";
import { readDescriptors, writeIndex } from "./referrers-index.ts";

function descriptors(count: number): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, at) => ({
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: `sha256:${String(at).padStart(64, "0")}`,
    size: at,
    ...(at % 3 === 0 ? {} : { artifactType: at % 3 === 1 ? "ä/b" : "c/d" }),
    ...(at % 2 === 0 ? { annotations: { at: `"${at}"` } } : {}),
  }));
}

test.each([0, 1, 2, 5000])(
  "%d referrers are written as an index, whole and by type",
  async (count) => {
    const manifests = descriptors(count);
    const index = await writeIndex(manifests);
    const base = { schemaVersion: 2, mediaType: OCI_INDEX };
    expect(await index.whole.json()).toEqual({ ...base, manifests });
    for (const type of ["ä/b", "c/d", "other"]) {
      const ofType = manifests.filter((one) => one["artifactType"] === type);
      for (let time = 0; time < 2; time += 1) {
        expect(await index.ofType(type).json()).toEqual({ ...base, manifests: ofType });
      }
    }
    expect(await readDescriptors(await index.whole.text())).toEqual(manifests);
    expect(await readDescriptors(JSON.stringify(manifests))).toEqual(manifests);
  },
);

test("what is no descriptor does not take the others away", async () => {
  expect(await readDescriptors('{"manifests":[null,{"digest":"d"},7,[]]}')).toEqual([
    { digest: "d" },
  ]);
});

test("80,000 referrers are written in steps between which other work runs", async () => {
  const few = descriptors(80_000).map(({ digest, artifactType }) => ({ digest, artifactType }));
  const text = JSON.stringify(few);
  const turns = await eventLoopTurns(async () => {
    const index = await writeIndex(await readDescriptors(text));
    expect(index.ofType("c/d").size).toBeGreaterThan(1_000_000);
    expect(index.whole.size).toBeGreaterThan(text.length);
  });
  expect(turns).toBeGreaterThan(300);
});
