import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bytesOf } from "../images/content.ts";
import type { Image } from "../images/images.ts";

/** Adds an image to a folder in the layout of Docker's registry. */
export async function writeRegistryFolder(
  folder: string,
  repository: string,
  tag: string,
  image: Image,
) {
  const root = join(folder, "docker/registry/v2");
  const write = async (path: string, bytes: Uint8Array | string): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), bytes);
  };
  const links = join("repositories", repository);
  for (const content of [image.manifest, ...image.blobs]) {
    const hex = content.digest.slice("sha256:".length);
    await write(`blobs/sha256/${hex.slice(0, 2)}/${hex}/data`, bytesOf(content));
    const kind = content === image.manifest ? "_manifests/revisions" : "_layers";
    await write(`${links}/${kind}/sha256/${hex}/link`, content.digest);
  }
  await write(`${links}/_manifests/tags/${tag}/current/link`, image.manifest.digest);
}
