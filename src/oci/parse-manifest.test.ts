import { expect, test } from "bun:test";
import { ManifestError, readManifest } from "./manifest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "./media-types.ts";
import { eventLoopTurns } from "./ocitest/event-loop-turns.ts";
import { parseManifest } from "./parse-manifest.ts";

const bytesOf = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

function entries(count: number, mediaType = OCI_MANIFEST): object[] {
  return Array.from({ length: count }, (_, at) => ({
    mediaType,
    digest: `sha256:${at.toString(16).padStart(64, "0")}`,
    size: at,
    platform: { os: "linux", architecture: `a${at}` },
  }));
}

/** Every other one has an algorithm that the cache does not know. */
function odd(count: number): object[] {
  return entries(count).map((entry, at) =>
    at % 2 ? entry : Object.assign(entry, { digest: `blake3:${at}` }),
  );
}

const [config] = entries(1, "c/d");

test.each([
  ["index", { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries(3000), subject: config }],
  ["image", { config, layers: entries(3000, "l/m"), mediaType: OCI_MANIFEST, annotations: {} }],
  ["short index", { mediaType: OCI_INDEX, manifests: entries(3) }],
  ["index without a type", { manifests: entries(3000) }],
  ["image with layers that the cache cannot use", { config, layers: odd(3000) }],
  [
    "padded index",
    { mediaType: OCI_INDEX, annotations: { a: "x".repeat(100_000) }, manifests: [] },
  ],
])("a manifest is parsed in steps as it is read at once: %s", async (_, document) => {
  const expected = readManifest(JSON.stringify(document), "");
  expect(await parseManifest(bytesOf(document), "")).toEqual(expected);
});

test("millions of entries that the cache cannot use are skipped", async () => {
  const bytes = bytesOf(`{"manifests":[${"0,".repeat(3_000_000)}0]}`);
  expect(await parseManifest(bytes, OCI_INDEX)).toMatchObject({ manifests: [] });
});

const deep = (levels: number): string => `{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`;

test.each([100, 20_000, 4_000_000])("%d levels of JSON are rejected by name", async (levels) => {
  const error = await parseManifest(bytesOf(deep(levels)), OCI_INDEX).catch((e: unknown) => e);
  expect(String(error)).toBe("ManifestError: it is not valid JSON: more than 64 levels are nested");
});

test("what is no UTF-8 in an annotation does not matter", async () => {
  const bytes = new Uint8Array(
    Buffer.from('{"annotations":{"a":"\u00FF"},"manifests":[]}', "latin1"),
  );
  expect((await parseManifest(bytes, "")).mediaType).toBe(OCI_INDEX);
});

test.each([
  [
    "manifests beside layers",
    { manifests: entries(2000), layers: entries(2000), mediaType: OCI_INDEX },
  ],
  ["no JSON near the end", `{"manifests":[${JSON.stringify(entries(3000)).slice(1, -1)},nul]}`],
  ["schema 1", { schemaVersion: 1, manifests: entries(2000), mediaType: OCI_INDEX }],
  ["two lists of one name", `{"manifests":${JSON.stringify(entries(2000))},"manifests":[]}`],
  ["no JSON", "x".repeat(100_000)],
  ["a long rest", { annotations: { a: "x".repeat(900_000), b: "x".repeat(900_000) } }],
  ["more than 8 MiB", `{"a":"${"x".repeat(9_000_000)}"}`],
])("a manifest is rejected: %s", async (_, document) => {
  const result = parseManifest(bytesOf(document), OCI_INDEX);
  expect(await result.catch((error: unknown) => error)).toBeInstanceOf(ManifestError);
});

test("an index of 50,000 entries is parsed in steps between which other work runs", async () => {
  const bytes = bytesOf({ mediaType: OCI_INDEX, manifests: entries(50_000, "a/b") });
  const turns = await eventLoopTurns(async () => {
    expect((await parseManifest(bytes, "")).manifests).toHaveLength(50_000);
  });
  expect(turns).toBeGreaterThan(100);
});
