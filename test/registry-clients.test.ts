import { expect } from "bun:test";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { type DockerRegistry, startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { freePort } from "./harness/free-port.ts";
import { type Image, multiPlatformImage, textImage } from "./harness/images/images.ts";
import { kanikoFlags } from "./harness/runtimes/kaniko-flags.ts";
import { mustRun } from "./harness/processes.ts";
import { push } from "./harness/registries/push.ts";
import { unpackedTests } from "./harness/real-components.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { failureOf } from "./harness/waiting.ts";

const PROGRAM = new URL("../bin/entrepot", import.meta.url).pathname;

// They are written in Go and need only a C library of Debian 12 or newer.
const clientTest = await unpackedTests("forky-clients", {
  suite: "forky",
  packages: ["cosign", "oras", "crane"],
});

interface SetUp extends AsyncDisposable {
  readonly registry: DockerRegistry;
  /** The repository's name at the registry, and in the cache. */
  readonly upstream: string;
  readonly cached: string;
  readonly dir: TempDir;
  /** Runs a client with a home folder of its own, and returns its stdout. */
  readonly client: (program: string, ...args: string[]) => Promise<string>;
}

/** A registry with the image `app:1`, and a cache before it. */
async function setUp(tree: string, image: Image, settings: object = {}): Promise<SetUp> {
  await using stack = new AsyncDisposableStack();
  const registry = stack.use(await startDockerRegistry());
  await push(image, { url: registry.url, repository: "app", tag: "1" });
  const upstreams = { "reg.test": { ...localUpstream(registry.url), ...settings } };
  const cache = stack.use(await startEntrepot({ config: { upstreams } }));
  const dir = stack.use(await tempDir("clients"));
  const env = { HOME: dir.path, COSIGN_PASSWORD: "" };
  const owned = stack.move();
  return {
    registry,
    upstream: `${registry.address}/app`,
    cached: `${cache.address}/reg.test/app`,
    dir,
    client: (program, ...args) =>
      mustRun([join(tree, "usr/bin", program), ...args], { cwd: dir.path, env }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

clientTest("cosign finds a signature that was made after it had looked for one", async (tree) => {
  const image = textImage();
  await using at = await setUp(tree, image);
  const cosign = (...args: string[]) => at.client("cosign", ...args);
  await cosign("generate-key-pair");
  // Without them, it asks for those of the public transparency log.
  await cosign("signing-config", "create", "--out", "services.json");
  await cosign("trusted-root", "create", "--out", "trusted.json");
  const common = ["--trusted-root", "trusted.json", "--allow-http-registry"];
  const byKey = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", ...common];
  const verify = () => cosign(...byKey, `${at.cached}:1`);

  expect(await failureOf(verify())).toContain("no signatures found");
  const sign = ["sign", "--yes", "--key", "cosign.key", "--signing-config", "services.json"];
  await cosign(...sign, ...common, `${at.upstream}@${image.manifest.digest}`);
  expect(await verify()).toContain(image.manifest.digest);
  // What is cached is verified without the registry.
  await at.registry.stop();
  expect(await verify()).toContain(image.manifest.digest);
});

clientTest("oras discovers an artifact that was attached after it had looked", async (tree) => {
  const image = textImage();
  await using at = await setUp(tree, image);
  const oras = (command: string, ...args: string[]) =>
    at.client("oras", command, "--plain-http", ...args);
  const discover = () => oras("discover", "--format", "json", `${at.cached}:1`);
  const type = "application/vnd.entrepot.test";

  expect(JSON.parse(await discover())).toMatchObject({ referrers: [] });
  await Bun.write(at.dir.file("sbom.txt"), "parts\n");
  await oras("attach", "--artifact-type", type, `${at.upstream}:1`, "sbom.txt");
  // `oras discover` prints an object with this list.
  const { referrers } = JSON.parse(await discover()) as { referrers: { digest: string }[] };
  expect(referrers).toMatchObject([{ artifactType: type }]);
  await oras("pull", "--output", "pulled", `${at.cached}@${referrers[0]?.digest}`);
  expect(await Bun.file(at.dir.file("pulled/sbom.txt")).text()).toBe("parts\n");
});

clientTest("crane sees tags that were pushed after it had asked for them", async (tree) => {
  const image = await multiPlatformImage();
  // Otherwise a missing tag is remembered for some seconds.
  await using at = await setUp(tree, image, { tagTtl: "0s" });
  const crane = (...args: string[]) => at.client("crane", "--insecure", ...args);

  expect((await crane("ls", at.cached)).trim()).toBe("1");
  for (const [tag, command] of [
    ["2", ["manifest"]],
    ["3", ["digest"]],
    ["4", ["validate", "--remote"]],
  ] as const) {
    const ask = () => crane(...command, `${at.cached}:${tag}`);
    expect(await failureOf(ask())).toContain("MANIFEST_UNKNOWN");
    await push(image, { url: at.registry.url, repository: "app", tag });
    await ask();
  }
  expect((await crane("digest", `${at.cached}:1`)).trim()).toBe(image.manifest.digest);
  const manifest = await crane("manifest", `${at.cached}:1`);
  expect(manifest).toBe(new TextDecoder().decode(image.manifest.bytes));
  await crane("pull", "--format=oci", `${at.cached}:1`, "pulled");
  const { digest } = image.manifest;
  const pulled = Bun.file(at.dir.file("pulled/blobs", digest.replace(":", "/")));
  expect(await pulled.text()).toBe(manifest);
});

clientTest("crane, with kaniko's library, pulls what `render kaniko` says", async (tree) => {
  const image = textImage({ text: "built upon" });
  await using registry = await startDockerRegistry();
  await push(image, { url: registry.url, repository: "org/app", tag: "1" });
  await push(image, { url: registry.url, repository: "library/base", tag: "1" });
  const upstream = localUpstream(registry.url);
  await using cache = await startEntrepot({
    config: { upstreams: { "docker.io": upstream, "reg.test": { ...upstream, port: freePort() } } },
  });
  await using dir = await tempDir("kaniko");
  const rendered = await mustRun([PROGRAM, "render", "kaniko", "--cache", cache.url]);
  const { args } = z.object({ args: z.array(z.string()) }).parse(parse(rendered));
  const flags = kanikoFlags(args);
  for (const name of ["reg.test/org/app:1", "base:1"]) {
    const [remapped = expect.unreachable()] = flags.remap(name);
    expect(flags.isInsecure(remapped.slice(0, remapped.indexOf("/")))).toBe(true);
    const crane = join(tree, "usr/bin/crane");
    await mustRun([crane, "--insecure", "validate", "--remote", remapped], {
      env: { HOME: dir.path },
    });
  }
  const { served } = z
    .object({ served: z.array(z.object({ namespace: z.string(), repository: z.string() })) })
    .parse(await (await cache.get("/entrepot/v1/served")).json());
  const pulled = served.map(({ namespace, repository }) => `${namespace}/${repository}`);
  expect([...new Set(pulled)].sort()).toEqual(["docker.io/library/base", "reg.test/org/app"]);
});
