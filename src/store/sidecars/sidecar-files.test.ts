import { expect, test } from "bun:test";
import { mkdir, readdir, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestOf, type Digest, parseDigest } from "../../oci/digest.ts";
import { OCI_MANIFEST } from "../../oci/media-types.ts";
import { tempDir, type TempDir } from "../../../test/harness/temp-dir.ts";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import { rejection } from "../storetest/writing.ts";
import type { TagStay } from "../tag-history.ts";
import { SidecarFiles } from "./sidecar-files.ts";

const [app, tool] = [repositoryRef("reg.test", "app"), repositoryRef("reg.test", "tool")];
const [one, two] = [tag("1"), tag("2")];
const digests = ["a", "b", "c", "d"].map((text) => digestOf(Buffer.from(text)));
const mediaType = OCI_MANIFEST;

async function opened(): Promise<{
  dir: TempDir;
  sidecars: SidecarFiles;
  a: Digest;
  files: string;
}> {
  const dir = await tempDir("sidecars");
  const [a] = digests;
  if (!a) throw new Error("there are four digests");
  await mkdir(dir.file("sidecars"), { recursive: true });
  return { dir, sidecars: new SidecarFiles(dir.path), a, files: dir.file("sidecars") };
}

/** Reads a sidecar as another process does, without the cache. */
async function reread(dir: TempDir, digest: Digest): Promise<unknown> {
  const found = await new SidecarFiles(dir.path).read(digest);
  return found?.repositories.map(
    ({ repo, tags }) => `${repo.repository}: ${[...tags.keys()].join(" ")}`,
  );
}

test("tags and repositories are added and removed one by one", async () => {
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

test("`prune` removes sidecars of manifests that are not stored and untagged or old, and counts the rest", async () => {
  const { dir, sidecars, files } = await opened();
  await using _ = dir;
  const [stored, tagged, untagged, old] = digests;
  if (!stored || !tagged || !untagged || !old) throw new Error("there are four digests");
  await sidecars.record(stored, { mediaType, repo: app, at: 1 });
  await sidecars.record(tagged, { mediaType, repo: app, tag: one, at: 1 });
  await sidecars.record(untagged, { mediaType, repo: app, at: 1 });
  await sidecars.record(old, { mediaType, repo: app, tag: two, at: 1 });
  const hex = old.slice("sha256:".length);
  await utimes(join(files, "sha256", hex.slice(0, 2), `${hex}.json`), 1000, 1000);
  // By a process whose cache is empty.
  const later = new SidecarFiles(dir.path);
  const deleted = await later.prune(async (digest) => digest === stored, { before: 1_000_001 });
  expect(deleted).toBe(2);
  const left = (await readdir(files, { recursive: true })).filter((name) => name.endsWith("json"));
  expect(left).toHaveLength(2);
  expect(later.bytes).toBe(2 * 4096);
  expect(await reread(dir, tagged)).toEqual(["app: 1"]);
  expect(await reread(dir, stored)).toEqual(["app: "]);
});

test("a file that cannot be read is not written over, but can be removed", async () => {
  const { dir, sidecars, a, files } = await opened();
  await using _ = dir;
  await sidecars.record(a, { mediaType, repo: app, tag: one, at: 1 });
  const hex = a.slice("sha256:".length);
  const path = join(files, "sha256", hex.slice(0, 2), `${hex}.json`);
  await rename(path, dir.file("aside"));
  // A link to itself cannot be opened, whoever tries it.
  await symlink(path, path);
  const later = new SidecarFiles(dir.path);
  const changes = [
    () => later.confirm(a, tool),
    () => later.record(a, { mediaType, repo: tool, tag: two, at: 2 }),
    () => later.removeTag(a, app, one),
    () => later.read(a),
  ];
  for (const change of changes) {
    expect(await rejection(change())).toMatchObject({ detail: { kind: "storage" } });
  }
  expect(await later.prune(async () => false, { before: Infinity })).toBe(0);
  await rm(path);
  await rename(dir.file("aside"), path);
  expect(await reread(dir, a)).toEqual(["app: 1"]);
  await later.record(a, { mediaType, repo: app, tag: two, at: 2 });
  expect(await reread(dir, a)).toEqual(["app: 1 2"]);
  await rm(path);
  await symlink(path, path);
  await later.remove(a);
  expect(await reread(dir, a)).toBeUndefined();
});

test("what a tag pointed to is kept with it, and stays when it moves", async () => {
  const { dir, sidecars, a } = await opened();
  await using _ = dir;
  const stay = (at: number, digest = a): TagStay => ({ digest, firstSeen: at, lastSeen: at + 1 });
  const now = { ...stay(9), firstServed: 10, source: "reg.test" };
  await sidecars.record(a, { mediaType, repo: app, tag: one, at: 9, stays: [now] });
  await sidecars.record(a, { mediaType, repo: app, tag: two, at: 9, stays: [] });
  await sidecars.record(a, { mediaType, repo: app, tag: one, at: 20, stays: [stay(20)] });
  expect(await staysOf(dir, a)).toEqual([[one, [now]]]);
  const stays = [8, 6, 4, 3, 2, 1].map((at) => stay(at, digestNumber(at)));
  await sidecars.removeTag(a, app, one, stays);
  const spread = stays.filter(({ firstSeen }) => firstSeen !== 2);
  expect(await staysOf(dir, a)).toEqual([[one, spread]]);
  expect(sidecars.has(a, app, one)).toBe(false);
  for (let number = 0; number < 30; number += 1) {
    const entry = { mediaType, repo: app, tag: tag(`n${number}`), at: 1, stays: [stay(number)] };
    await sidecars.record(a, entry);
  }
  const kept = (await staysOf(dir, a)) ?? [];
  expect([kept.length, kept[0], kept.at(-1)]).toEqual([
    20,
    [tag("n10"), [stay(10)]],
    [tag("n29"), [stay(29)]],
  ]);
});

/** By another process, without the cache. */
async function staysOf(dir: TempDir, digest: Digest) {
  const found = await new SidecarFiles(dir.path).read(digest);
  const stays = found?.repositories.find(({ repo }) => repo.repository === app.repository)?.stays;
  return stays && [...stays];
}

test("of what a file says of a tag's history, what cannot be read is left out", async () => {
  const { dir, sidecars, a, files } = await opened();
  await using _ = dir;
  await sidecars.record(a, { mediaType, repo: app, tag: one, at: 1 });
  const hex = a.slice("sha256:".length);
  const path = join(files, "sha256", hex.slice(0, 2), `${hex}.json`);
  const stay = { digest: a, first: 1, last: 2 };
  const cases: readonly (readonly [unknown, unknown])[] = [
    [
      { 1: [stay, { ...stay, digest: "none" }], " ": [stay] },
      [[one, [{ digest: a, firstSeen: 1, lastSeen: 2 }]]],
    ],
    [{ 1: [stay, 5] }, undefined],
    ["", undefined],
  ];
  for (const [history, expected] of cases) {
    const place = { ...app, mediaType, tags: { 1: 1 }, history };
    await writeFile(path, JSON.stringify({ places: [place] }));
    expect(await reread(dir, a)).toEqual(["app: 1"]);
    const stays: unknown = await staysOf(dir, a);
    expect(stays).toEqual(expected);
  }
});

test("a file of an earlier version has one media type for all of its repositories", async () => {
  const { dir, sidecars, a, files } = await opened();
  await using _ = dir;
  const hex = a.slice("sha256:".length);
  const places = [app, tool].map(({ upstream, repository }) => {
    return { upstream, repository, tags: { 1: 5 } };
  });
  await mkdir(join(files, "sha256", hex.slice(0, 2)), { recursive: true });
  const path = join(files, "sha256", hex.slice(0, 2), `${hex}.json`);
  await writeFile(path, JSON.stringify({ mediaType, places }));
  const tags = new Map([[one, 5]]);
  const repositories = [app, tool].map((repo) => ({ repo, mediaType, tags }));
  expect(await sidecars.read(a)).toEqual({ repositories });
  await sidecars.confirm(a, repositoryRef("other.test", "app"));
  const later = await new SidecarFiles(dir.path).read(a);
  expect(later?.repositories.map((entry) => entry.mediaType)).toEqual([
    mediaType,
    mediaType,
    undefined,
  ]);
});

test("a file is written although eviction removes its empty folder at the same time", async () => {
  const { dir, sidecars } = await opened();
  await using _ = dir;
  const inOneFolder = ["0", "1"].map((end) => parseDigest(`sha256:${"ab".repeat(31)}c${end}`));
  const [written, evicted] = inOneFolder;
  if (!written || !evicted) throw new Error("they are digests");
  for (let at = 0; at < 300; at += 1) {
    await Promise.all([
      sidecars.record(written, { mediaType, repo: app, at }),
      ...Array.from({ length: 2 }, () => sidecars.removeUnless(async () => false, evicted)),
    ]);
    await sidecars.removeUnless(async () => false, written);
  }
});
