import { afterAll, expect } from "bun:test";
import { chmod, chown, lstat, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { command, commandOn } from "./harness/cache/commands.ts";
import { writeRegistryFolder } from "./harness/registries/registry-folder.ts";
import { randomImages } from "./harness/images/random-images.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { type Image, textImage } from "./harness/images/images.ts";
import { type CommandResult, mustRun, startProcess } from "./harness/processes.ts";
import { pull } from "./harness/cache/pull.ts";
import { push } from "./harness/registries/push.ts";
import { concurrentRealTest } from "./harness/real-components.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";

const PROGRAM = new URL("../bin/entrepot", import.meta.url).pathname;
const asRoot = process.getuid?.() === 0;
/** The user of the old registry, and that of the cache. */
const [REGISTRY, CACHE] = [4321, 4400];
const AS_CACHE = ["setpriv", `--reuid=${CACHE}`, `--regid=${CACHE}`, "--clear-groups"];

/** What a real registry has stored, for all cases. */
let whenPushed: Promise<{ readonly dir: TempDir; readonly image: Image }> | undefined;
const pushed = () => (whenPushed ??= pushOnce());

async function pushOnce() {
  const dir = await tempDir("pushed");
  const image = textImage({ text: "adopted" });
  await using registry = await startDockerRegistry({ storage: dir.path });
  await push(image, { url: registry.url, repository: "team/app", tag: "1" });
  return { dir, image };
}

afterAll(async () => {
  await (await whenPushed)?.dir[Symbol.asyncDispose]();
});

/** Data of a real registry, with the given owner and the modes that a umask leaves. */
async function oldRegistry(dir: TempDir, { owner, mode }: { owner: number; mode: string }) {
  const folder = dir.file("registry");
  const { dir: original, image } = await pushed();
  await mustRun(["cp", "-r", original.path, folder]);
  await mustRun(["chown", "-R", `${owner}:${owner}`, folder]);
  await mustRun(["chmod", "-R", mode, folder]);
  const config = dir.file("entrepot.yaml");
  // Nothing listens there: what was adopted has to be sufficient.
  const settings = {
    storage: { scrub: 0 },
    upstreams: { "reg.test": { ...localUpstream("http://127.0.0.1:1"), adopt: { folder } } },
  };
  await Bun.write(config, JSON.stringify(settings));
  await chmod(dir.path, 0o755);
  return { folder, image, config, settings, before: await snapshot(folder) };
}

/** Owner, group, mode, names and content of every file and folder. */
async function snapshot(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const { uid, gid, mode, nlink, mtimeMs } = await lstat(path);
    const content = entry.isFile() ? Bun.hash(await readFile(path)) : "folder";
    return `${path} ${uid}:${gid} ${mode.toString(8)} ${nlink} ${mtimeMs} ${content}`;
  });
  return (await Promise.all(lines)).sort();
}

/** What systemd does with a StateDirectory= whose owner is another than User=. */
async function giveToCache(data: string): Promise<void> {
  if ((await lstat(data)).uid !== CACHE) await mustRun(["chown", "-R", `${CACHE}:${CACHE}`, data]);
  await chmod(data, 0o750);
}

/** Pulls the image from a cache that runs as its own user, without the means of root, and has it adopt again. */
async function pullAsCache(data: string, settings: object, image: Image): Promise<CommandResult> {
  // The configuration is in a folder that only root enters.
  const asUser = `chmod 0755 "$(dirname "$3")" && exec ${AS_CACHE.join(" ")} "$0" "$@"`;
  await using cache = await startEntrepot({
    config: settings,
    data,
    program: ["/bin/sh", "-c", asUser, PROGRAM],
  });
  await pull(cache, "team/app", "1", image);
  expect(cache.output()).not.toContain("cannot be read");
  return await command(cache, "adopt", "--from", cache.configFile);
}

/** The files of a data directory that the cache's user may not read. */
function unreadable(data: string): Promise<string> {
  return mustRun([...AS_CACHE, "find", data, "-type", "f", "!", "-readable"]);
}

const ownersTest = (name: string, work: () => Promise<void>): void => {
  if (asRoot) concurrentRealTest(name, work);
};

for (const [owner, mode] of [
  [REGISTRY, "go="],
  [0, "go=rX"],
] as const) {
  ownersTest(
    `what root adopted from uid ${owner} with mode ${mode} is served by the unit's user, and the old files stay as they are`,
    async () => {
      await using dir = await tempDir("owners");
      const { folder, image, config, settings, before } = await oldRegistry(dir, { owner, mode });
      const data = dir.file("data");
      const adopted = await commandOn(data, config, "adopt", "--from", config);
      expect([adopted.code, adopted.stderr]).toEqual([0, ""]);
      await giveToCache(data);
      expect(await snapshot(folder)).toEqual(before);
      const again = await pullAsCache(data, settings, image);
      const isReadable = mode !== "go=";
      expect([again.code, again.stderr]).toEqual(
        isReadable
          ? [0, ""]
          : [1, expect.stringContaining("stop it, run this command again as root, and start it")],
      );
      await verifyStore(data);
    },
  );
}

ownersTest("files of the store's own user are shared, and those of others are not", async () => {
  await using dir = await tempDir("owners");
  const { folder, config } = await oldRegistry(dir, {
    owner: CACHE,
    mode: "go=",
  });
  const own = await snapshot(folder);
  const [layer = ""] = own
    .filter((line) => line.includes("/data "))
    .map((line) => line.split(" ")[0]);
  await chown(layer, REGISTRY, REGISTRY);
  const data = dir.file("data");
  await mkdir(data);
  await chown(data, CACHE, CACHE);
  const adopted = await commandOn(data, config, "adopt", "--from", config);
  const files = own.filter((line) => line.includes("/data ")).length;
  expect(adopted.stdout).toContain(`(${files - 1} linked, 1 copied)`);
  await giveToCache(data);
  expect(await lstat(layer)).toMatchObject({ uid: REGISTRY, nlink: 1 });
  expect(await unreadable(data)).toBe("");
});

ownersTest(
  "--link shares the files of others, except those that the store's user cannot read",
  async () => {
    await using dir = await tempDir("owners");
    const { folder, config, before } = await oldRegistry(dir, {
      owner: REGISTRY,
      mode: "go=rX",
    });
    const files = before
      .filter((line) => line.includes("/data "))
      .map((line) => line.split(" ")[0]);
    const [secret = ""] = files;
    await chmod(secret, 0o600);
    const data = dir.file("data");
    await mkdir(data);
    await chown(data, CACHE, CACHE);
    const adopted = await commandOn(
      data,
      config,
      "adopt",
      folder,
      "--upstream",
      "reg.test",
      "--link",
    );
    expect(adopted.stdout).toContain(`(${files.length - 1} linked, 1 copied)`);
    await giveToCache(data);
    expect((await lstat(secret)).nlink).toBe(1);
    expect(await unreadable(data)).toBe("");
    expect((await lstat(dirname(secret))).uid).toBe(REGISTRY);
  },
);

ownersTest(
  "an adoption by root that is interrupted leaves nothing to root, and goes on",
  async () => {
    await using dir = await tempDir("owners");
    const folder = dir.file("registry");
    const images = randomImages({ count: 12, smallest: 100_000, largest: 2_000_000 });
    for (const [at, image] of images.entries())
      await writeRegistryFolder(folder, `app${at}`, "1", image);
    const config = dir.file("entrepot.yaml");
    const data = dir.file("data");
    await writeFile(config, JSON.stringify({ upstreams: { "reg.test": { adopt: { folder } } } }));
    await mkdir(data);
    await chown(data, CACHE, CACHE);
    const flags = ["--from", config, "--data", data, "--admin", "127.0.0.1:1"];
    await using adopting = await startProcess({
      name: "adopt",
      command: [PROGRAM, "adopt", ...flags],
      ready: async () => (await storedBlobs(data).catch(() => [])).length > 0,
    });
    adopting.signal("SIGINT");
    const code = await adopting.ended();
    // It may have finished before.
    if (code !== 0) {
      expect([code, adopting.output()]).toEqual([
        130,
        "entrepot: interrupted: run the command again, and it goes on",
      ]);
    }
    expect(await mustRun(["find", data, "!", "-uid", String(CACHE)])).toBe("");
    await mustRun([PROGRAM, "adopt", ...flags]);
    const digests = images.flatMap((image) =>
      [image.manifest, ...image.blobs].map(({ digest }) => digest),
    );
    expect(await verifyStore(data)).toEqual([...new Set(digests)].sort());
  },
);
