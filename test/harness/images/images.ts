import { readFile } from "node:fs/promises";
import { ensureBusybox } from "../../../scripts/components/debian.mjs";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../../../src/oci/media-types.ts";
import { type Content, contentOf, descriptor, randomTar, type SmallContent } from "./content.ts";
import { tar, type TarEntry } from "./tar.ts";

export type Flavour = "oci" | "docker";

/** An image, an image index or an artifact, with all blobs and manifests below it. */
export interface Image {
  readonly manifest: SmallContent;
  /** The config first, then the layers; empty for an index. */
  readonly blobs: readonly Content[];
  /** The images of an index; empty otherwise. */
  readonly children: readonly Image[];
}

type GzipLevel = 0 | 1 | 6;

export interface ImageOptions {
  /** What a container of the image prints. */
  readonly text?: string;
  readonly flavour?: Flavour;
  readonly architecture?: string;
}

const TYPES = {
  oci: {
    manifest: OCI_MANIFEST,
    index: OCI_INDEX,
    config: "application/vnd.oci.image.config.v1+json",
    layer: "application/vnd.oci.image.layer.v1.tar+gzip",
    plainLayer: "application/vnd.oci.image.layer.v1.tar",
  },
  docker: {
    manifest: DOCKER_MANIFEST,
    index: DOCKER_LIST,
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    plainLayer: "application/vnd.docker.image.rootfs.diff.tar",
  },
} as const;

interface Layer {
  readonly content: Content;
  /** The digest of the archive before compression. */
  readonly diffId: Digest;
}

/** An image whose container prints `text` and exits. */
export async function busyboxImage(options: ImageOptions = {}): Promise<Image> {
  return imageOf([await busyboxLayer(options.flavour), textLayer(options)], options);
}

/** An image without a program, for tests that only pull it. It needs no busybox on this machine. */
export function textImage(options: ImageOptions = {}): Image {
  return imageOf([textLayer(options)], options);
}

/** An image without a program that consists of these files. */
export function filesImage(files: readonly TarEntry[]): Image {
  return layersImage([files]);
}

/**
 * An image without a program with a layer for each of these lists of files.
 *
 * @param level of gzip; 0 only stores, as gzip does where compression makes nothing smaller
 */
export function layersImage(
  layers: readonly (readonly TarEntry[])[],
  { level = 1 }: { level?: GzipLevel } = {},
): Image {
  return imageOf(
    layers.map((files) => layerOf(files, "oci", level)),
    {},
  );
}

/** A busybox image with an additional incompressible layer of `size` bytes, 200 MiB by default. */
export async function bigImage(
  options: ImageOptions & { size?: number; seed?: number } = {},
): Promise<Image> {
  const { size = 200 * 1024 * 1024, seed = 1, flavour = "oci" } = options;
  const random = randomTar(size, seed, TYPES[flavour].plainLayer);
  const layers = [await busyboxLayer(flavour), { content: random, diffId: random.digest }];
  return imageOf([...layers, textLayer(options)], options);
}

/** A busybox image with many small layers, 40 by default. */
export async function manyLayersImage(
  options: ImageOptions & { layers?: number } = {},
): Promise<Image> {
  const { layers = 40, flavour, text = "" } = options;
  const small = Array.from({ length: layers - 2 }, (_, index) => {
    const content = new TextEncoder().encode(`${text} layer ${index}\n`);
    return layerOf([{ path: `layer-${index}`, content }], flavour);
  });
  return imageOf([await busyboxLayer(flavour), ...small, textLayer(options)], options);
}

/** A pod sandbox (pause) image: its container sleeps forever. */
export async function pauseImage(options: ImageOptions = {}): Promise<Image> {
  const command = ["/bin/busybox", "sleep", "1000000"];
  // The layer differs from that of all other images: a node that has this one still pulls theirs
  // completely.
  const layer = layerOf([...(await busyboxFiles()), { path: "pause" }], options.flavour);
  return imageOf([layer], options, command);
}

/**
 * An index with an image per platform. The images share no layers, so that pulling one fetches no
 * other's.
 */
export async function multiPlatformImage(
  options: Omit<ImageOptions, "architecture"> & { architectures?: readonly string[] } = {},
): Promise<Image> {
  const { architectures = ["amd64", "arm64"], ...rest } = options;
  const images = await Promise.all(
    architectures.map(async (architecture) =>
      // Only the image for this machine's platform runs, so only it needs busybox.
      architecture === "amd64"
        ? busyboxImage({ ...rest, architecture })
        : textImage({ ...rest, architecture }),
    ),
  );
  const entries = images.map((image, index) => ({
    ...descriptor(image.manifest),
    platform: { os: "linux", architecture: architectures[index] },
  }));
  return indexOf(images, entries, options.flavour);
}

/** An artifact whose subject is an image, like a signature or an SBOM. */
export function artifact(
  subject: Image,
  { type = "application/vnd.entrepot.test", text = "a signature", layerType = "text/plain" } = {},
): Image {
  const config = contentOf("{}", "application/vnd.oci.empty.v1+json");
  const layer = contentOf(text, layerType);
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType: type,
    config: descriptor(config),
    layers: [descriptor(layer)],
    subject: descriptor(subject.manifest),
  };
  return { manifest: contentOf(manifest, OCI_MANIFEST), blobs: [config, layer], children: [] };
}

/** The index behind the referrers fallback tag, for a registry without the referrers API. */
export function referrersIndex(artifacts: readonly Image[]): Image {
  const entries = artifacts.map((one) => ({ ...descriptor(one.manifest), ...artifactType(one) }));
  return indexOf(artifacts, entries);
}

/** The referrers tag `sha256-<hex>` (distribution-spec, "Referrers Tag Schema"). */
export function fallbackTag(subject: Image): string {
  return subject.manifest.digest.replace(":", "-");
}

export function layersOf(image: Image): readonly Content[] {
  return image.blobs.slice(1);
}

/** Every blob of an image and of the images below it. */
export function allBlobs(image: Image): readonly Content[] {
  return [...image.blobs, ...image.children.flatMap(allBlobs)];
}

/** Every manifest; a referenced manifest comes before the index that references it. */
export function allManifests(image: Image): readonly SmallContent[] {
  return [...image.children.flatMap(allManifests), image.manifest];
}

function artifactType(image: Image): { artifactType?: string } {
  const json: unknown = JSON.parse(new TextDecoder().decode(image.manifest.bytes));
  const hasType = typeof json === "object" && json !== null && "artifactType" in json;
  return hasType ? { artifactType: String(json.artifactType) } : {};
}

function indexOf(images: readonly Image[], entries: readonly object[], flavour?: Flavour): Image {
  const mediaType = TYPES[flavour ?? "oci"].index;
  const manifest = contentOf({ schemaVersion: 2, mediaType, manifests: entries }, mediaType);
  return { manifest, blobs: [], children: images };
}

function imageOf(
  layers: readonly Layer[],
  { flavour = "oci", architecture = "amd64" }: ImageOptions,
  command: readonly string[] = ["/bin/busybox", "cat", "/text"],
): Image {
  const types = TYPES[flavour];
  const config = contentOf(
    {
      architecture,
      os: "linux",
      config: { Cmd: command, Env: ["PATH=/bin"] },
      rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
    },
    types.config,
  );
  const manifest = {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: descriptor(config),
    layers: layers.map((layer) => descriptor(layer.content)),
  };
  const blobs = [config, ...layers.map((layer) => layer.content)];
  return { manifest: contentOf(manifest, types.manifest), blobs, children: [] };
}

function layerOf(
  entries: readonly TarEntry[],
  flavour: Flavour = "oci",
  level: GzipLevel = 1,
): Layer {
  const archive = tar(entries);
  const content = contentOf(Bun.gzipSync(archive, { level }), TYPES[flavour].layer);
  return { content, diffId: digestOf(archive) };
}

function textLayer({ text = "hello", architecture = "amd64", flavour }: ImageOptions): Layer {
  const encode = (value: string) => new TextEncoder().encode(value);
  return layerOf(
    [
      { path: "text", content: encode(`${text}\n`), mode: 0o644 },
      { path: "architecture", content: encode(`${architecture}\n`), mode: 0o644 },
    ],
    flavour,
  );
}

let busybox: Promise<TarEntry[]> | undefined;

async function busyboxLayer(flavour?: Flavour): Promise<Layer> {
  return layerOf(await busyboxFiles(), flavour);
}

function busyboxFiles(): Promise<TarEntry[]> {
  busybox ??= (async () => [
    { path: "bin/" },
    { path: "bin/busybox", content: await readFile(await ensureBusybox()) },
    { path: "bin/sh", target: "busybox" },
  ])();
  return busybox;
}
