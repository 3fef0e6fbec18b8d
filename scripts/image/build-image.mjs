// Builds the image: a layout with an index of all architectures and what refers to them, and an archive of each.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import zlib from "node:zlib";
import { build } from "../build.mjs";
import { root } from "../bun.mjs";
import { sourceRevision } from "../revision.mjs";
import { createBase, data, user, write } from "./base-layer.mjs";
import { basePackages } from "./debian-packages.mjs";
import { bunRuntime } from "./dependencies.mjs";
import { annotationsOf, imageConfig } from "./image-config.mjs";
import { blobPath, Layout, mediaTypes } from "./layout.mjs";
import { provenance, provenanceType } from "./provenance.mjs";
import { cyclonedxSbom, cyclonedxType, spdxSbom, spdxType } from "./sbom.mjs";
import { tarOf } from "./tar.mjs";

/** By the names of Node.js. */
const architectures = { x64: "amd64", arm64: "arm64" };

/**
 * @param archs `x64`, `arm64`
 * @param folder into which `entrepot-image` (a layout), the archives and the documents are written
 * @param baseArchive a tar archive that becomes the base layer, instead of Debian's packages
 * @returns what was written
 */
export async function buildImage(archs, folder, baseArchive) {
  const names = archs.map((arch) => {
    if (architectures[arch] !== undefined) return architectures[arch];
    const known = Object.keys(architectures).join(", ");
    throw new Error(`${arch} is not supported: use one of ${known}`);
  });
  if (baseArchive !== undefined && archs.length !== 1) {
    throw new Error(
      "--base is of one architecture: name it, as in `npm run image -- x64 --base FILE`",
    );
  }
  const base = baseArchive === undefined ? undefined : readBase(baseArchive, archs[0]);
  const revision = sourceRevision();
  const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  const annotations = annotationsOf(manifest, revision);
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "entrepot-image-"));
  try {
    fs.mkdirSync(folder, { recursive: true });
    const layout = new Layout(path.join(work, "layout"));
    const images = [];
    for (const [at, arch] of archs.entries()) {
      const place = path.join(work, arch);
      const packages = base === undefined ? await basePackages(names[at]) : [];
      const layers = [
        base?.layer ?? debianLayer(place, packages, revision.epoch),
        programLayer(place, arch, revision.epoch),
      ];
      const image = putImage(layout, names[at], layers, annotations, revision.date);
      images.push({ ...image, arch: names[at], packages, runtime: bunRuntime(names[at]) });
    }
    const archives = images.map((image) => writeArchive(work, folder, image, layout));
    const index = layout.put(mediaTypes.index, {
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: images.map(({ manifest: one, arch }) => ({ ...one, platform: platform(arch) })),
      annotations,
    });
    const contents = { version: manifest.version, revision, base };
    const referrers = referTo(layout, index, images, contents, folder, annotations);
    const ref = { "org.opencontainers.image.ref.name": manifest.version };
    layout.finish([{ ...index, annotations: ref }, ...referrers]);
    const target = path.join(folder, "entrepot-image");
    fs.rmSync(target, { recursive: true, force: true });
    fs.cpSync(layout.folder, target, { recursive: true });
    return { layout: target, digest: index.digest, archives };
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

function platform(architecture) {
  return { architecture, os: "linux", ...(architecture === "arm64" ? { variant: "v8" } : {}) };
}

/** The loader of glibc, with which the executable is started. */
const loaders = { x64: "ld-linux-x86-64.so.2", arm64: "ld-linux-aarch64.so.1" };

function readBase(file, arch) {
  let bytes;
  try {
    bytes = fs.readFileSync(file);
  } catch (error) {
    throw new Error(`--base: ${error.message}`, { cause: error });
  }
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const tar = bytes[0] === 0x1f && bytes[1] === 0x8b ? zlib.gunzipSync(bytes) : bytes;
  if (tar.toString("latin1", 257, 262) !== "ustar") {
    throw new Error(`--base: ${file} is not a tar archive, also not one compressed with gzip`);
  }
  const listed = spawnSync("tar", ["-t"], { input: tar, encoding: "utf8", maxBuffer: 2 ** 28 });
  if (!listed.stdout?.split("\n").some((entry) => path.basename(entry) === loaders[arch])) {
    throw new Error(
      `--base: ${file} has no ${loaders[arch]}, the loader of glibc: give the root file system of a Linux with glibc for ${arch}`,
    );
  }
  const name = path.basename(file);
  return { name, sha256, layer: layerOf(tar, `a base given as ${name}`) };
}

function debianLayer(work, packages, mtime) {
  const base = path.join(work, "base");
  createBase(base, packages);
  const list = packages.map(({ name, version }) => `${name} ${version}`).join(", ");
  return layerOf(tarOf(base, mtime, { tmp: { mode: 0o1777 } }), `Debian: ${list}`);
}

function programLayer(work, arch, mtime) {
  const app = path.join(work, "app");
  const program = path.join(app, "usr/local/bin/entrepot");
  fs.mkdirSync(path.dirname(program), { recursive: true });
  fs.renameSync(build(arch, work), program);
  fs.mkdirSync(path.join(app, data), { recursive: true });
  const owned = { [data]: { mode: 0o750, uid: user, gid: user } };
  return layerOf(tarOf(app, mtime, owned), "Entrepot");
}

/** Compressed by Bun's zlib, whose version package-lock.json fixes: that of Node.js differs between machines. */
function layerOf(tar, comment) {
  const diffId = `sha256:${createHash("sha256").update(tar).digest("hex")}`;
  return { diffId, comment, bytes: zlib.gzipSync(tar, { level: 6 }) };
}

function putImage(layout, architecture, layers, annotations, date) {
  const value = imageConfig(architecture, layers, annotations, date);
  const config = layout.put(mediaTypes.config, value);
  const entries = layers.map(({ bytes }) => layout.put(mediaTypes.layer, bytes));
  const manifest = layout.put(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config,
    layers: entries,
    annotations,
  });
  return { manifest, config, layers: entries };
}

/** Attaches to the index, and to the image of each architecture, what is in it and how it was built. */
function referTo(layout, index, images, { version, revision, base }, folder, annotations) {
  const created = "org.opencontainers.image.created";
  const subjects = [
    { descriptor: index, of: images, suffix: "" },
    ...images.map((image) => ({
      descriptor: image.manifest,
      of: [image],
      suffix: `-${image.arch}`,
    })),
  ];
  const named = base && { name: base.name, sha256: base.sha256 };
  return subjects.flatMap(({ descriptor, of, suffix }) => {
    const runtimes = of.map(({ runtime }) => runtime);
    const packages = distinct(of.flatMap((image) => image.packages));
    const contents = {
      version,
      date: revision.date,
      digest: descriptor.digest,
      runtimes,
      packages,
      base: named,
    };
    const digests = [
      descriptor,
      ...(of.length > 1 || suffix === "" ? of.map((one) => one.manifest) : []),
    ];
    const documents = [
      [spdxType, "spdx.json", spdxSbom(contents)],
      [cyclonedxType, "cdx.json", cyclonedxSbom(contents)],
      [
        provenanceType,
        "provenance.json",
        provenance(
          digests.map(({ digest }) => digest),
          { ...contents, revision, architectures: of.map(({ arch }) => arch) },
        ),
      ],
    ];
    return documents.map(([type, ending, document]) => {
      const title = `entrepot-image${suffix}.${ending}`;
      if (suffix === "") write(folder, title, `${JSON.stringify(document, null, 2)}\n`);
      return layout.refer(descriptor, type, title, document, { [created]: annotations[created] });
    });
  });
}

/** Packages for all architectures are in each image. */
function distinct(packages) {
  return [...new Map(packages.map((one) => [one.purl, one])).values()];
}

/** An archive of one architecture, with the manifest.json that older versions of `docker load` need. */
function writeArchive(work, folder, { manifest, config, layers, arch }, from) {
  const layout = new Layout(path.join(work, `archive-${arch}`));
  for (const one of [manifest, config, ...layers]) {
    write(layout.folder, blobPath(one), fs.readFileSync(path.join(from.folder, blobPath(one))));
  }
  const annotations = {
    "io.containerd.image.name": "docker.io/library/entrepot:latest",
    "org.opencontainers.image.ref.name": "latest",
  };
  layout.finish([{ ...manifest, annotations }]);
  const tags = { RepoTags: ["entrepot:latest"] };
  const listed = [{ Config: blobPath(config), ...tags, Layers: layers.map(blobPath) }];
  write(layout.folder, "manifest.json", JSON.stringify(listed));
  const archive = path.join(folder, `entrepot-image-linux-${arch}.tar`);
  fs.writeFileSync(archive, tarOf(layout.folder, 0));
  return archive;
}
