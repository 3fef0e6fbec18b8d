import { expect, test } from "bun:test";
import { mkdir, readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { digestOf, type Digest } from "../../oci/digest.ts";
import { OCI_MANIFEST } from "../../oci/media-types.ts";
import { parseRepositoryName, parseTag, parseUpstreamName, type Tag } from "../../oci/names.ts";
import { tempDir, type TempDir } from "../../../test/harness/places.ts";
import { FactFiles } from "./sidecar-files.ts";
import type { Place } from "../metadata-store.ts";

function place(repository: string): Place {
  const upstream = parseUpstreamName("reg.test");
  const name = parseRepositoryName(repository);
  if (!upstream || !name) throw new Error(repository);
  return { upstream, repository: name };
}

function tag(text: string): Tag {
  const parsed = parseTag(text);
  if (!parsed) throw new Error(text);
  return parsed;
}

const [app, tool] = [place("app"), place("tool")];
const [one, two] = [tag("1"), tag("2")];
const digests = ["a", "b", "c", "d"].map((text) => digestOf(Buffer.from(text)));
const mediaType = OCI_MANIFEST;

async function opened(): Promise<{ dir: TempDir; facts: FactFiles; a: Digest; files: string }> {
  const dir = await tempDir("facts");
  const [a] = digests;
  if (!a) throw new Error("there are digests");
  await mkdir(dir.file("facts"), { recursive: true });
  return { dir, facts: new FactFiles(dir.path), a, files: dir.file("facts") };
}

/** As another process reads it. */
async function reread(dir: TempDir, digest: Digest): Promise<unknown> {
  const found = await new FactFiles(dir.path).read(digest);
  return found?.places.map(
    ({ place: at, tags }) => `${at.repository}: ${[...tags.keys()].join(" ")}`,
  );
}

test("tags and places are added and taken away one by one", async () => {
  const { dir, facts, a } = await opened();
  await using _ = dir;
  await facts.remember(a, { mediaType, place: app, at: 1 });
  expect(facts.has(a, app, one)).toBe(false);
  await Promise.all([
    facts.remember(a, { mediaType, place: app, tag: one, at: 1 }),
    facts.remember(a, { mediaType, place: tool, tag: two, at: 2 }),
    facts.remember(a, { mediaType, place: app, tag: two, at: 3 }),
  ]);
  expect(facts.has(a, app, one)).toBe(true);
  expect(await reread(dir, a)).toEqual(["tool: 2", "app: 1 2"]);
  await facts.forgetTag(a, app, one);
  expect(facts.has(a, app, one)).toBe(false);
  expect(await reread(dir, a)).toEqual(["tool: 2", "app: 2"]);
  await facts.forgetPlace(a, tool);
  expect(await reread(dir, a)).toEqual(["app: 2"]);
  await facts.forgetPlace(a, app);
  expect(await reread(dir, a)).toBeUndefined();
  expect(facts.bytes).toBe(0);
});

test("what nobody would miss is removed, and the rest counted", async () => {
  const { dir, facts, files } = await opened();
  await using _ = dir;
  const [stored, named, loose, old] = digests;
  if (!stored || !named || !loose || !old) throw new Error("there are digests");
  await facts.remember(stored, { mediaType, place: app, at: 1 });
  await facts.remember(named, { mediaType, place: app, tag: one, at: 1 });
  await facts.remember(loose, { mediaType, place: app, at: 1 });
  await facts.remember(old, { mediaType, place: app, tag: two, at: 1 });
  const hex = old.slice("sha256:".length);
  await utimes(join(files, "sha256", hex.slice(0, 2), `${hex}.json`), 1000, 1000);
  // By a process that knows nothing of them yet.
  const later = new FactFiles(dir.path);
  const gone = await later.prune(async (digest) => digest === stored, { before: 1_000_001 });
  expect(gone).toBe(2);
  const left = (await readdir(files, { recursive: true })).filter((name) => name.endsWith("json"));
  expect(left).toHaveLength(2);
  expect(later.bytes).toBe(2 * 4096);
  expect(await reread(dir, named)).toEqual(["app: 1"]);
  expect(await reread(dir, stored)).toEqual(["app: "]);
});
