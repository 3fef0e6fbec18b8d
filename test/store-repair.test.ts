import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { command, commandOn } from "./harness/cache/commands.ts";
import { bytesOf, contentOf, randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { pull } from "./harness/cache/pull.ts";
import { tempDir } from "./harness/temp-dir.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { wrongFigures } from "./harness/cache/store-figures.ts";
import { storedBlobs } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

function config(upstream: ScriptedUpstream, storage: object = {}): object {
  return {
    storage: { scrub: 0, ...storage },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
  };
}

test.concurrent(
  "fsck finds a flipped bit and quarantines the blob, which is fetched again",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(2 * MIB, 4);
    upstream.addBlob("app", blob);
    await using cache = await startEntrepot({ config: config(upstream) });
    const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
    await (await cache.get(path)).bytes();
    const flip = async (): Promise<void> => {
      const [file] = await storedBlobs(cache.data);
      const bytes = await readFile(file?.path ?? "");
      bytes[1000] = (bytes[1000] ?? 0) ^ 1;
      await writeFile(file?.path ?? "", bytes);
    };
    expect((await command(cache, "fsck")).code).toBe(0);
    await flip();
    const fsck = await command(cache, "fsck");
    expect([fsck.code, fsck.stdout]).toEqual([
      1,
      `Verified 1 blob, 2 MiB.
corrupt: ${blob.digest}
1 blob was moved to quarantine/; it is fetched again when requested (a running cache never serves a blob that it knows to be corrupt).
`,
    ]);
    expect(await storedBlobs(cache.data)).toEqual([]);
    expect(await readdir(join(cache.data, "quarantine"))).toHaveLength(1);
    expect(Buffer.compare(await (await cache.get(path)).bytes(), bytesOf(blob))).toBe(0);
    expect((await command(cache, "fsck", "--json")).code).toBe(0);

    // On the data directory of a stopped cache, fsck changes nothing without --repair.
    await flip();
    await cache.stop();
    const onFolder = (...args: string[]) => commandOn(cache.data, cache.configFile, ...args);
    expect((await onFolder("fsck")).code).toBe(1);
    expect(await storedBlobs(cache.data)).toHaveLength(1);
    expect((await onFolder("fsck", "--repair")).code).toBe(1);
    expect((await onFolder("fsck")).code).toBe(0);
    expect((await onFolder("ls")).stdout).toBe("No images are cached yet.\n");
    expect((await onFolder("gc")).code).toBe(0);
    expect((await onFolder("pin", "x")).code).toBe(1);
  },
  60_000,
);

test.concurrent(
  "a blob file that was deleted causes one 503, and is then filled again",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(2 * MIB, 6);
    upstream.addBlob("app", blob);
    await using cache = await startEntrepot({ config: config(upstream) });
    const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
    for (let times = 0; times < 2; times += 1) await (await cache.get(path)).bytes();
    const [file] = await storedBlobs(cache.data);
    await rm(file?.path ?? "");
    const failed = await cache.get(path);
    expect([failed.status, await failed.json()]).toEqual([
      503,
      { errors: [expect.objectContaining({ code: "UNAVAILABLE" })] },
    ]);
    await until(async () => (await cache.get(path)).status === 200, { what: "another fill" });
    expect(Buffer.compare(await (await cache.get(path)).bytes(), bytesOf(blob))).toBe(0);
    await cache.logged("a stored blob cannot be read");
  },
);

test.concurrent(
  "the background scrub finds a flipped bit",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using data = await tempDir("data");
    const blob = randomContent(MIB, 8);
    upstream.addBlob("app", blob);
    const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
    {
      await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
      await (await cache.get(path)).bytes();
    }
    const [file] = await storedBlobs(data.file("d"));
    const bytes = await readFile(file?.path ?? "");
    bytes[7] = (bytes[7] ?? 0) ^ 1;
    await writeFile(file?.path ?? "", bytes);
    await using cache = await startEntrepot({
      config: config(upstream, { scrub: "100MiB" }),
      data: data.file("d"),
    });
    await cache.logged("corrupt blob quarantined: it is fetched again when it is requested");
    const metrics = await (await cache.getAdmin("/metrics")).text();
    expect(metrics).toContain("entrepot_corrupt_blobs_total 1");
    expect(metrics).toContain(`entrepot_scrubbed_bytes_total ${MIB}`);
    expect(Buffer.compare(await (await cache.get(path)).bytes(), bytesOf(blob))).toBe(0);
  },
  60_000,
);

test.concurrent(
  "a corrupt small blob is detected on concurrent requests, and quarantined once",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using data = await tempDir("data");
    const blob = randomContent(1000, 9);
    upstream.addBlob("app", blob);
    const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
    {
      await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
      await (await cache.get(path)).bytes();
    }
    const [file] = await storedBlobs(data.file("d"));
    await writeFile(file?.path ?? "", Buffer.alloc(blob.size, 1));
    await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
    const bodies = await Promise.all(
      Array.from({ length: 8 }, async () => (await cache.get(path)).bytes()),
    );
    for (const bytes of bodies) expect(Buffer.compare(bytes, bytesOf(blob))).toBe(0);
    await cache.logged("corrupt blob quarantined: it is fetched again when it is requested");
    expect(await readdir(join(data.file("d"), "quarantine"))).toHaveLength(1);
    const metrics = await (await cache.getAdmin("/metrics")).text();
    expect(metrics).toContain("entrepot_corrupt_blobs_total 1");
    expect(metrics).toMatch(new RegExp(`^entrepot_storage_blob_bytes 4096$`, "m"));
    expect(await storedBlobs(data.file("d"))).toHaveLength(1);
  },
  60_000,
);

test.concurrent(
  "blobs without a record and records without a blob are reconciled after the start",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using data = await tempDir("data");
    const [present, lost] = [randomContent(MIB, 1), randomContent(MIB, 2)];
    for (const blob of [present, lost]) upstream.addBlob("app", blob);
    const path = (digest: string) => `/v2/app/blobs/${digest}?ns=reg.test`;
    {
      await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
      for (const blob of [present, lost]) await (await cache.get(path(blob.digest))).bytes();
    }
    using metadata = new Database(join(data.file("d"), "metadata.db"));
    metadata.run("DELETE FROM blobs WHERE digest = ?", [present.digest]);
    for (const file of await storedBlobs(data.file("d"))) {
      if (file.digest === lost.digest) await Bun.file(file.path).delete();
    }
    await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
    const line = await cache.logged("reconciled metadata with files");
    expect(line).toMatchObject({ found: 1, lost: 1 });
    const digests = metadata.query("SELECT digest FROM blobs").values().flat();
    expect(digests).toEqual([present.digest]);
  },
  60_000,
);

test.concurrent(
  "last-access times in the future, after a clock was set back, are corrected",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("data");
    const data = dir.file("d");
    const image = textImage({ text: "used" });
    upstream.add("app", image, "1");
    const settings = config(upstream);
    {
      await using cache = await startEntrepot({ config: settings, data });
      await pull(cache, "app", "1", image);
    }
    using metadata = new Database(join(data, "metadata.db"));
    // One of them: where most are ahead, it is the clock of now that is believed to be wrong.
    metadata.run(
      "UPDATE blobs SET used_at = used_at + 1e12, stored_at = stored_at + 1e12 WHERE digest = (SELECT min(digest) FROM blobs)",
    );
    await using cache = await startEntrepot({ config: settings, data });
    await pull(cache, "app", "1", image);
    const last = metadata.prepare<{ last: number }, []>(
      "SELECT max(max(used_at, stored_at)) AS last FROM blobs",
    );
    await until(() => (last.get()?.last ?? Infinity) <= Date.now(), {
      what: "the times to be corrected",
    });
  },
  60_000,
);

test.concurrent(
  "a corrupt manifest, and a blob that somebody deleted, go with their records and their space",
  async () => {
    await using upstream = await startScriptedUpstream();
    const small = textImage();
    const manifest: unknown = await new Response(small.manifest.bytes).json();
    // Larger than a blob that is verified when it is read into memory.
    const padded = Object.assign({}, manifest, { annotations: { padding: "x".repeat(200_000) } });
    const image = { ...small, manifest: contentOf(padded, small.manifest.mediaType) };
    upstream.add("app", image, "1");
    const big = randomContent(2 * MIB, 8);
    upstream.addBlob("app", big);
    const [manifestPath, blobPath] = [
      `/v2/app/manifests/${image.manifest.digest}?ns=reg.test`,
      `/v2/app/blobs/${big.digest}?ns=reg.test`,
    ];
    await using dir = await tempDir("corrupt-manifest");
    const options = { config: config(upstream), data: dir.file("data") };
    const fileOf = async (digest: string): Promise<string> =>
      (await storedBlobs(options.data)).find((file) => file.digest === digest)?.path ?? "";
    {
      await using cache = await startEntrepot(options);
      for (const path of [manifestPath, blobPath]) await (await cache.get(path)).bytes();
      expect(await cache.stop()).toBe(0);
    }
    const file = await fileOf(image.manifest.digest);
    await writeFile(file, (await readFile(file)).with(100_000, 0));
    await upstream.stop();
    await using cache = await startEntrepot(options);
    expect((await cache.get(manifestPath)).status).toBe(502);
    expect(await readdir(join(cache.data, "quarantine"))).toHaveLength(1);
    expect(await wrongFigures(cache)).toEqual([]);

    expect((await cache.get(blobPath, { method: "HEAD" })).status).toBe(200);
    await rm(await fileOf(big.digest));
    await (await cache.get(blobPath)).bytes();
    await until(async () => (await wrongFigures(cache)).length === 0, { what: "right figures" });
  },
  60_000,
);
