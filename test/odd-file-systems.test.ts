import { expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { statusSchema } from "../src/api/status.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { run } from "./harness/processes.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import {
  injectSystemFault,
  type SystemFault,
  withSystemFault,
} from "./harness/faults/system-faults.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const MIB = 1024 * 1024;

interface Refused {
  readonly fault: (data: string) => SystemFault;
  readonly message: string;
}

const REFUSED: Readonly<Record<string, Refused>> = {
  "cannot share memory": {
    fault: (data) => ({ calls: ["mmap"], paths: [`${data}/metadata.db-shm`], error: "ENODEV" }),
    message:
      "its file system cannot share memory through a file (mmap, disk I/O error), as some network and FUSE file systems cannot. Set storage.dir to a directory on a local one, such as ext4 or XFS\n",
  },
  "has no locks": {
    fault: (data) => ({ calls: ["fcntl"], paths: [`${data}/lock`], error: "ENOLCK" }),
    message:
      "is in use by another process, or its file system has no file locks, as NFS may have none: stop that process first, or set storage.dir to another directory\n",
  },
  "does not allow such long names": {
    fault: (data) => ({ calls: ["mkdir"], paths: [data], error: "ENAMETOOLONG" }),
    message: "the path is too long for this file system: set storage.dir to a shorter one",
  },
};

for (const [name, { fault, message }] of Object.entries(REFUSED)) {
  realTest(`on a file system that ${name}, the start says what to do`, async () => {
    await using dir = await tempDir("odd");
    const data = dir.file("data");
    const config = dir.file("entrepot.yaml");
    await Bun.write(config, "{}");
    const flags = ["--config", config, "--data", data];
    const ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    const started = await run(withSystemFault(fault(data), [PROGRAM, "serve", ...flags, ...ports]));
    expect(started.stderr).toContain(message);
    // One line, and no stack trace.
    expect([started.code, started.stderr.trim().split("\n").length]).toEqual([1, 1]);
  });
}

realTest("a data directory is created where chmod is refused", async () => {
  await using dir = await tempDir("odd");
  const file = fileURLToPath(new URL("../src/store/directory/data-directory.ts", import.meta.url));
  const program = `
    import { openDataDirectory } from ${JSON.stringify(file)};
    await (await openDataDirectory(${JSON.stringify(dir.file("data"))})).close();
  `;
  const fault = { calls: ["chmod", "fchmod", "fchmodat"], error: "EPERM" };
  const opened = await run(withSystemFault(fault, [process.execPath, "-e", program]));
  expect([opened.code, opened.stderr]).toEqual([0, ""]);
});

test("where no file may be replaced by another one, blobs and sidecar files are", async () => {
  await using dir = await tempDir("odd");
  const moduleOf = (path: string): string =>
    JSON.stringify(fileURLToPath(new URL(`../src/${path}`, import.meta.url)));
  // strace cannot tell whether there is a file of the new name.
  const program = `
    import fs from "node:fs/promises";
    import { existsSync } from "node:fs";
    import { mock } from "bun:test";
    const { rename } = fs;
    let refused = 0;
    const renameNew = async (from, to) => {
      if (!existsSync(to)) return rename(from, to);
      refused += 1;
      throw Object.assign(new Error("file already exists, rename"), { code: "EEXIST" });
    };
    mock.module("node:fs/promises", () => ({ ...fs, rename: renameNew }));
    const { openDiskBlobStore } = await import(${moduleOf("store/disk/disk-blob-store.ts")});
    const { SidecarFiles } = await import(${moduleOf("store/sidecars/sidecar-files.ts")});
    const { digestOf } = await import(${moduleOf("oci/digest.ts")});
    const bytes = new TextEncoder().encode("a blob");
    const digest = digestOf(bytes);
    const store = await openDiskBlobStore(${JSON.stringify(dir.path)});
    const sidecars = new SidecarFiles(${JSON.stringify(dir.path)});
    for (const upstream of ["one.test", "two.test"]) {
      const writer = await store.writer(digest);
      await writer.append(bytes);
      if (!writer.verify()) throw new Error("the wrong digest");
      await writer.commit();
      await sidecars.confirm(digest, { upstream, repository: "app" });
    }
    console.log(await (await store.open(digest, true)).bytes.text());
    console.log((await sidecars.read(digest)).repositories.length, "repositories");
    console.log(refused, "refused");
  `;
  const stored = await run([process.execPath, "-e", program]);
  const said = "a blob\n2 repositories\n2 refused\n";
  expect([stored.code, stored.stdout, stored.stderr]).toEqual([0, said, ""]);
});

test("a blob that cannot be stored since something else has its place is told by status", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(MIB, 1);
  upstream.addBlob("app", blob);
  const upstreams = { "reg.test": localUpstream(upstream.url) };
  await using cache = await startEntrepot({ config: { storage: { scrub: 0 }, upstreams } });
  const folder = join(cache.data, "blobs", "sha256");
  await mkdir(folder);
  await writeFile(join(folder, blob.digest.slice(7, 9)), "a file in the way");
  const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
  expect(Buffer.compare(await response.bytes(), bytesOf(blob))).toBe(0);
  await until(
    async () => {
      const { problems } = statusSchema.parse(
        await (await cache.getAdmin("/api/v1/status")).json(),
      );
      return problems.some((problem) => problem.startsWith("blobs cannot be stored: "));
    },
    { what: "the problem to be told" },
  );
});

realTest("where a folder cannot be synced, blobs are stored nevertheless", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(MIB, 1);
  upstream.addBlob("app", blob);
  const upstreams = { "reg.test": localUpstream(upstream.url) };
  await using cache = await startEntrepot({ config: { storage: { scrub: 0 }, upstreams } });
  // Files are synced by fdatasync(2).
  await using _ = await injectSystemFault(cache.pid, { calls: ["fsync"], error: "EINVAL" });
  const results: (string | null)[] = [];
  for (let at = 0; at < 2; at += 1) {
    const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
    expect(Buffer.compare(await response.bytes(), bytesOf(blob))).toBe(0);
    results.push(response.headers.get("cache-status"));
  }
  expect(results).toEqual(["entrepot; fwd=miss; stored", "entrepot; hit"]);
});

realTest("a network disk whose server is gone is said once, and pulls go on", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(3 * MIB, 1);
  upstream.addBlob("app", blob);
  const upstreams = { "reg.test": localUpstream(upstream.url) };
  await using cache = await startEntrepot({ config: { storage: { scrub: 0 }, upstreams } });
  const fault = { calls: ["pwrite64", "fdatasync", "rename"], error: "ESTALE" };
  await using _ = await injectSystemFault(cache.pid, fault);
  for (let at = 0; at < 3; at += 1) {
    const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
    expect(Buffer.compare(await response.bytes(), bytesOf(blob))).toBe(0);
  }
  const status = await (await cache.getAdmin("/api/v1/status")).text();
  expect(status).toContain("no longer knows the file: mount it again (ESTALE)");
  const message = "nothing can be stored: pulls are streamed without being stored meanwhile";
  await cache.logged(message);
  expect(cache.logs().filter(({ msg }) => msg === message)).toHaveLength(1);
});
