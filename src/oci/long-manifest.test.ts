import { expect, test } from "bun:test";
import { parseLongManifest } from "./long-manifest.ts";
import { ManifestError, parseManifest } from "./manifest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "./media-types.ts";
import { eventLoopTurns } from "./ocitest/event-loop-turns.ts";

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

const [config] = entries(1, "c/d");

test.each([
  ["index", { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries(3000), subject: config }],
  ["image", { config, layers: entries(3000, "l/m"), mediaType: OCI_MANIFEST, annotations: {} }],
  ["short index", { mediaType: OCI_INDEX, manifests: entries(3) }],
  [
    "padded index",
    { mediaType: OCI_INDEX, annotations: { a: "x".repeat(100_000) }, manifests: [] },
  ],
])("a long manifest is parsed as parseManifest does: %s", async (_, document) => {
  const bytes = bytesOf(document);
  expect(await parseLongManifest(bytes, "")).toEqual(parseManifest(bytes, ""));
});

const bad = entries(3000);
bad[2900] = { digest: "x" };

test.each([
  [
    "manifests beside layers",
    { manifests: entries(2000), layers: entries(2000), mediaType: OCI_INDEX },
  ],
  ["an invalid entry near the end", { manifests: bad, mediaType: OCI_INDEX }],
  ["schema 1", { schemaVersion: 1, manifests: entries(2000), mediaType: OCI_INDEX }],
  ["two lists of one name", `{"manifests":${JSON.stringify(entries(2000))},"manifests":[]}`],
  ["no JSON", "x".repeat(100_000)],
  ["brackets in brackets", `{"a":${"[".repeat(4_000_000)}${"]".repeat(4_000_000)}}`],
  ["a long rest", { annotations: { a: "x".repeat(900_000), b: "x".repeat(900_000) } }],
  ["more than 8 MiB", `{"a":"${"x".repeat(9_000_000)}"}`],
])("a long manifest is rejected: %s", async (_, document) => {
  const result = parseLongManifest(bytesOf(document), OCI_INDEX);
  expect(await result.catch((error: unknown) => error)).toBeInstanceOf(ManifestError);
});

test("an index of 50,000 entries is parsed in steps between which other work runs", async () => {
  const bytes = bytesOf({ mediaType: OCI_INDEX, manifests: entries(50_000, "a/b") });
  const turns = await eventLoopTurns(async () => {
    expect((await parseLongManifest(bytes, "")).manifests).toHaveLength(50_000);
  });
  expect(turns).toBeGreaterThan(100);
});
