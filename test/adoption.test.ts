import { expect, test } from "bun:test";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { commandOn } from "./harness/commands.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { multiPlatformImage } from "./harness/images.ts";
import { pull } from "./harness/pulling.ts";
import { tempDir } from "./harness/places.ts";
import { run } from "./harness/processes.ts";
import { realTest } from "./harness/real.ts";
import { startDockerRegistry } from "./harness/docker-registry.ts";
import { push } from "./harness/pushing.ts";
import { verifyStore } from "./harness/stored.ts";
import { until } from "./harness/waiting.ts";

const entrepot = new URL("../bin/entrepot", import.meta.url).pathname;

test("adopt refuses what is no registry, or none of ours", async () => {
  await using dir = await tempDir("data");
  const adopt = (...args: string[]) =>
    run([entrepot, "adopt", ...args, "--data", dir.file("d"), "--admin", "127.0.0.1:1"]);
  const none = await adopt(dir.path, "--upstream", "docker.io");
  expect(none.code).toBe(1);
  expect(none.stderr).toContain("is no registry's folder: it has no docker/registry/v2");
  const foreign = await adopt(dir.path, "--upstream", "reg.test");
  expect(foreign.code).toBe(1);
  expect(foreign.stderr).toContain("reg.test is not configured");
  expect((await adopt(dir.path)).code).toBe(2);
});

realTest(
  "what a registry:2 proxy has cached is adopted, and served with its upstream away",
  async () => {
    await using dir = await tempDir("adopt");
    await using origin = await startDockerRegistry();
    const image = await multiPlatformImage();
    await push(image, { url: origin.url, repository: "team/app", tag: "1" });
    const storage = dir.file("registry");
    {
      await using proxy = await startDockerRegistry({ storage, proxy: { remoteurl: origin.url } });
      const get = async (path: string): Promise<void> => {
        const headers = {
          accept:
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json",
        };
        const response = await fetch(`${proxy.url}/v2/team/app/${path}`, { headers });
        expect(response.status).toBe(200);
        await response.bytes();
      };
      await get("manifests/1");
      for (const child of image.children) {
        await get(`manifests/${child.manifest.digest}`);
        for (const blob of child.blobs) await get(`blobs/${blob.digest}`);
      }
      // A proxy writes in the background what it has just served.
      await until(
        async () => {
          const found = await readdir(
            join(storage, "docker/registry/v2/repositories/team/app/_layers/sha256"),
          );
          return found.length >= image.children.flatMap((child) => child.blobs).length;
        },
        { what: "the proxy to have written everything" },
      );
    }
    const before = await snapshot(storage);
    const settings = {
      storage: { scrub: 0 },
      upstreams: { "reg.test": { ...localUpstream(origin.url), tagTtl: "1h" } },
    };
    const configFile = dir.file("entrepot.yaml");
    await Bun.write(configFile, JSON.stringify(settings));
    await origin.stop();
    const adopted = await commandOn(
      dir.file("d"),
      configFile,
      "adopt",
      storage,
      "--upstream",
      "reg.test",
      "--json",
    );
    expect([adopted.code, adopted.stderr]).toEqual([0, ""]);
    expect(JSON.parse(adopted.stdout)).toMatchObject({
      corrupt: 0,
      repositories: 1,
      tags: 1,
      manifests: 3,
    });
    expect(await snapshot(storage)).toEqual(before);
    await using cache = await startEntrepot({ config: settings, data: dir.file("d") });
    await pull(cache, "team/app", "1", image);
    await verifyStore(dir.file("d"));
  },
  90_000,
);

/** Every file of a folder with its size and when it was last written. */
async function snapshot(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = await stat(path);
    return `${path} ${entry.isFile() ? size : "folder"} ${mtimeMs}`;
  });
  return (await Promise.all(lines)).sort();
}
