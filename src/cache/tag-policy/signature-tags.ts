import { isLayerType } from "../../oci/media-types.ts";
import { isObject, parseObject } from "../../oci/json-object.ts";
import type { Tag } from "../../oci/names.ts";

const SIGNATURE_TAG = /^sha(?:256|512)-[0-9a-f]{64,}(?:\.[a-z]+)?$/;

/**
 * Whether cosign names a tag so: signatures, attestations and SBOMs of an image (`sha256-….sig`), or a list of what
 * refers to it (`sha256-…`). By these, an image is judged: they are what their registry says now, and nobody signs them.
 */
export function isSignatureTag(tag: Tag): boolean {
  return SIGNATURE_TAG.test(tag);
}

/**
 * Whether no runtime could run a manifest: otherwise an image without signatures could be had by such a tag. Of a list,
 * each image is asked for by its digest, which has to be signed itself.
 */
export function isNoImage(bytes: Uint8Array): boolean {
  const manifest = parseObject(bytes);
  if (!manifest) return false;
  const { layers, manifests } = manifest;
  if (Array.isArray(manifests)) return layers === undefined;
  if (!Array.isArray(layers) || layers.length === 0) return false;
  return layers.every((layer: unknown) => {
    const type = isObject(layer) ? layer["mediaType"] : undefined;
    return typeof type === "string" && type !== "" && !isLayerType(type);
  });
}
