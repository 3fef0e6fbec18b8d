import { expect, test } from "bun:test";
import { mkdir, readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { digestOf, type Digest } from "../../oci/digest.ts";
import { OCI_MANIFEST } from "../../oci/media-types.ts";
import { parseRepositoryName, parseTag, parseUpstreamName, type Tag } from "../../oci/names.ts";
import { tempDir, type TempDir } from "../../../test/harness/places.ts";
import { SidecarFiles } from "./sidecar-files.ts";
import type { RepositoryRef } from "../metadata-store.ts";

function place(repository: string): RepositoryRef {
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

async function opened(): Promise<{
  dir: TempDir;
  sidecars: SidecarFiles;
  a: Digest;
  files: string;
}> {
  const dir = await tempDir("facts");
  const [a] = digests;
  if (!a) throw new Error("there are digests");
  await mkdir(dir.file("sidecars"), { recursive: true });
  return { dir, sidecars: new SidecarFiles(dir.path), a, files: dir.file("sidecars") };
}

/** As another process reads it. */
async function reread(dir: TempDir, digest: Digest): Promise<unknown> {
  const found = await new SidecarFiles(dir.path).read(digest);
  return found?.repositories.map(
    ({ repo: at, tags }) => `${at.repository}: ${[...tags.keys()].join(" ")}`,
  );
}

test("tags and places are added and taken away one by one", async () => {
  const { dir, sidecars, a } = await opened();
  await using _ = dir;
  await sidecars.record(a, { mediaType, repo: app, at: 1 });
  expect(sidecars.has(a, app, one)).toBe(false);
  await Promise.all([
    sidecars.record(a, { mediaType, repo: app, tag: one, at: 1 }),
    sidecars.record(a, { mediaType, repo: tool, tag: two, at: 2 }),
    sidecars.record(a, { mediaType, repo: app, tag: two, at: 3 }),
  ]);
  expect(sidecars.has(a, app, one)).toBe(true);
  expect(await reread(dir, a)).toEqual(["tool: 2", "app: 1 2"]);
  await sidecars.removeTag(a, app, one);
  expect(sidecars.has(a, app, one)).toBe(false);
  expect(await reread(dir, a)).toEqual(["tool: 2", "app: 2"]);
  await sidecars.removeRepository(a, tool);
  expect(await reread(dir, a)).toEqual(["app: 2"]);
  await sidecars.removeRepository(a, app);
  expect(await reread(dir, a)).toBeUndefined();
  expect(sidecars.bytes).toBe(0);
});

test("what nobody would miss is removed, and the rest counted", async () => {
  const { dir, sidecars, files } = await opened();
  await using _ = dir;
  const [stored, named, loose, old] = digests;
  if (!stored || !named || !loose || !old) throw new Error("there are digests");
  await sidecars.record(stored, { mediaType, repo: app, at: 1 });
  await sidecars.record(named, { mediaType, repo: app, tag: one, at: 1 });
  await sidecars.record(loose, { mediaType, repo: app, at: 1 });
  await sidecars.record(old, { mediaType, repo: app, tag: two, at: 1 });
  const hex = old.slice("sha256:".length);
  await utimes(join(files, "sha256", hex.slice(0, 2), `${hex}.json`), 1000, 1000);
  // By a process that knows nothing of them yet.
  const later = new SidecarFiles(dir.path);
  const gone = await later.prune(async (digest) => digest === stored, { before: 1_000_001 });
  expect(gone).toBe(2);
  const left = (await readdir(files, { recursive: true })).filter((name) => name.endsWith("json"));
  expect(left).toHaveLength(2);
  expect(later.bytes).toBe(2 * 4096);
  expect(await reread(dir, named)).toEqual(["app: 1"]);
  expect(await reread(dir, stored)).toEqual(["app: "]);
});
