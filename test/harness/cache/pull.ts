import { expect } from "bun:test";
import type { Entrepot } from "./entrepot.ts";
import type { Image } from "../images/images.ts";

/** Pulls a whole image by its tag from the upstream `reg.test`: all manifests and blobs. */
export async function pull(
  cache: Entrepot,
  repository: string,
  tag: string,
  image: Image,
): Promise<void> {
  const get = async (path: string): Promise<void> => {
    const response = await cache.get(`/v2/${repository}/${path}?ns=reg.test`);
    await response.bytes();
    expect(`${path} ${response.status}`).toBe(`${path} 200`);
  };
  await get(`manifests/${tag}`);
  for (const child of image.children) {
    await get(`manifests/${child.manifest.digest}`);
    for (const blob of child.blobs) await get(`blobs/${blob.digest}`);
  }
  for (const blob of image.blobs) await get(`blobs/${blob.digest}`);
}
