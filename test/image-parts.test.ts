import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import manifest from "../package.json" with { type: "json" };
import { builtImageFolder } from "./harness/images/built-image.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { checkSpdx, cyclonedxValidator, statement } from "./harness/images/image-documents.ts";
import { mustRun } from "./harness/processes.ts";
import { realTest, unpackedTests } from "./harness/real-components.ts";
import { tempDir } from "./harness/temp-dir.ts";

const INDEX = "application/vnd.oci.image.index.v1+json";
const TYPES = [
  "application/spdx+json",
  "application/vnd.cyclonedx+json",
  "application/vnd.in-toto+json",
];
const descriptor = z.object({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: z.number(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const anyManifest = z.looseObject({
  annotations: z.record(z.string(), z.string()),
  artifactType: z.string().optional(),
  subject: descriptor.optional(),
  config: descriptor.optional(),
  layers: z.array(descriptor).optional(),
  manifests: z.array(descriptor).optional(),
});
type Descriptor = z.infer<typeof descriptor>;

/** A layout in a folder; a blob is read only if it has its digest. */
class LayoutFolder {
  readonly #folder: string;
  readonly entries: readonly Descriptor[];

  constructor(folder: string) {
    this.#folder = folder;
    const index = readFileSync(join(folder, "index.json"), "utf8");
    this.entries = z.object({ manifests: z.array(descriptor) }).parse(JSON.parse(index)).manifests;
  }

  json({ digest, size }: Descriptor): unknown {
    const bytes = readFileSync(join(this.#folder, "blobs", digest.replace(":", "/")));
    const hash = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    expect([`sha256:${hash}`, bytes.length]).toEqual([digest, size]);
    return JSON.parse(String(bytes));
  }

  manifest(of: Descriptor): z.infer<typeof anyManifest> {
    return anyManifest.parse(this.json(of));
  }

  /** The documents that refer to a manifest, by their types. */
  documents(digest: string): Map<string, unknown> {
    const found = this.entries
      .map((entry) => this.manifest(entry))
      .filter(({ subject }) => subject?.digest === digest);
    return new Map(
      found.map(({ artifactType = "", layers = [] }) => {
        const [layer] = layers;
        if (layer?.mediaType !== artifactType) throw new Error(`${artifactType} has no document`);
        return [artifactType, this.json(layer)];
      }),
    );
  }
}

async function builtLayout(): Promise<LayoutFolder> {
  return new LayoutFolder(join(await builtImageFolder(), "entrepot-image"));
}

function first<Item>(items: readonly Item[] | undefined): Item {
  const [item] = items ?? [];
  if (item === undefined) throw new Error("there is none");
  return item;
}

realTest(
  "the index, each manifest and each configuration say what the image is",
  async () => {
    const layout = await builtLayout();
    const entry = first(layout.entries);
    expect(entry).toMatchObject({
      mediaType: INDEX,
      annotations: { "org.opencontainers.image.ref.name": manifest.version },
    });
    const index = layout.manifest(entry);
    const image = layout.manifest(first(index.manifests));
    const config = z
      .object({ config: z.looseObject({ Labels: z.record(z.string(), z.string()) }) })
      .parse(layout.json(z.object({ config: descriptor }).parse(image).config)).config;
    for (const annotations of [index.annotations, image.annotations, config.Labels]) {
      expect(annotations).toMatchObject({
        "org.opencontainers.image.title": "Entrepot",
        "org.opencontainers.image.description": manifest.description,
        "org.opencontainers.image.source": "https://github.com/entrepot/entrepot",
        "org.opencontainers.image.version": manifest.version,
        "org.opencontainers.image.licenses": "Apache-2.0",
      });
      expect(annotations["org.opencontainers.image.created"]).toMatch(/^\d{4}-.*Z$/);
    }
    expect(config).toMatchObject({
      User: "65532:65532",
      StopSignal: "SIGTERM",
      Healthcheck: { Test: ["CMD", "/usr/local/bin/entrepot", "health"], Interval: 15e9 },
    });
  },
  240_000,
);

realTest(
  "SBOMs and provenance refer to the index and to each image, and follow their schemas",
  async () => {
    const layout = await builtLayout();
    const entry = first(layout.entries);
    const images = layout.manifest(entry).manifests ?? [];
    expect(images.length).toBeGreaterThan(0);
    const validate = cyclonedxValidator();
    for (const { digest } of [entry, ...images]) {
      const documents = layout.documents(digest);
      expect([...documents.keys()]).toEqual(TYPES);
      const [spdx, cyclonedx, provenance] = TYPES.map((type) => documents.get(type));
      expect([validate(cyclonedx), validate.errors]).toEqual([true, null]);
      checkSpdx(spdx);
      const subjects = statement.parse(provenance).subject.map((one) => one.digest.sha256);
      expect(subjects).toContain(digest.replace("sha256:", ""));
      for (const document of [spdx, cyclonedx]) {
        const text = JSON.stringify(document);
        expect(text).toContain(digest.replace("sha256:", ""));
        // What npm does not know of.
        for (const part of ["pkg:deb/debian/libc6@", "pkg:npm/%40oven/bun-linux-"]) {
          expect(text).toContain(part);
        }
        // Of no platform of this image.
        expect(text).not.toContain("bun-windows");
      }
    }
  },
  240_000,
);

const clientTest = await unpackedTests("forky-clients", {
  suite: "forky",
  packages: ["cosign", "oras", "crane"],
});

clientTest(
  "oras pushes the image with what refers to it, and finds both through the cache",
  async (tree) => {
    const folder = await builtImageFolder();
    await using registry = await startDockerRegistry();
    const upstreams = { "reg.test": localUpstream(registry.url) };
    await using cache = await startEntrepot({ config: { upstreams } });
    await using home = await tempDir("oras");
    const oras = (...args: string[]) =>
      mustRun([join(tree, "usr/bin/oras"), ...args], { env: { HOME: home.path } });
    const from = `${join(folder, "entrepot-image")}:${manifest.version}`;
    const to = `${registry.address}/entrepot:${manifest.version}`;
    await oras("cp", "--recursive", "--to-plain-http", "--from-oci-layout", from, to);
    const cached = `${cache.address}/reg.test/entrepot`;
    const discovered = z
      .object({ referrers: z.array(z.object({ artifactType: z.string(), digest: z.string() })) })
      .parse(
        JSON.parse(
          await oras(
            "discover",
            "--plain-http",
            "--format",
            "json",
            `${cached}:${manifest.version}`,
          ),
        ),
      ).referrers;
    expect(discovered.map(({ artifactType }) => artifactType).sort()).toEqual(TYPES);
    const spdx = discovered.find(({ artifactType }) => artifactType === TYPES[0]);
    await oras("pull", "--plain-http", "--output", home.file("parts"), `${cached}@${spdx?.digest}`);
    const pulled = JSON.parse(readFileSync(home.file("parts/entrepot-image.spdx.json"), "utf8"));
    expect(pulled).toEqual(
      JSON.parse(readFileSync(join(folder, "entrepot-image.spdx.json"), "utf8")),
    );
    // The image itself, with a client that verifies every blob.
    const copy = [
      "copy",
      "--all",
      "--src-tls-verify=false",
      `docker://${cached}:${manifest.version}`,
    ];
    await mustRun(["skopeo", ...copy, `oci:${home.file("copy")}:1`]);
    const copied = new LayoutFolder(home.file("copy")).entries;
    expect(copied.map(({ digest }) => digest)).toEqual([
      first(new LayoutFolder(join(folder, "entrepot-image")).entries).digest,
    ]);
  },
  240_000,
);

test("the image is refused with what to do where something cannot be built", async () => {
  await using dir = await tempDir("base");
  const image = fileURLToPath(new URL("../scripts/image.mjs", import.meta.url));
  const said = (...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(["node", image, ...args]);
    expect(exitCode).toBe(1);
    return String(stderr);
  };
  expect(said("mips")).toContain("mips is not supported: use one of x64, arm64");
  expect(said("--base", "x.tar")).toContain("--base is of one architecture: name it");
  expect(said("x64", "--base", "/nowhere.tar")).toContain("--base: ENOENT");
  expect(said("x64", "--base", image)).toContain("is not a tar archive");
  // A base of another architecture.
  await Bun.write(dir.file("lib/ld-linux-aarch64.so.1"), "");
  await mustRun(["tar", "-cf", dir.file("arm64.tar"), "-C", dir.path, "lib"]);
  expect(said("x64", "--base", dir.file("arm64.tar"))).toContain("has no ld-linux-x86-64.so.2");
});
