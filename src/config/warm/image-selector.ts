import { type ImageReference, imageName, parseImageReference } from "../../oci/image-reference.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import { quote } from "../parsing/problems.ts";
import { inRange, likePattern, type TagSelection } from "./versions.ts";

/** Images that are wanted: one, or those of a repository whose tags match. */
export type ImageSelector =
  | { readonly kind: "image"; readonly text: string; readonly image: ImageReference }
  | {
      readonly kind: "tags";
      readonly text: string;
      readonly upstream: UpstreamName;
      readonly repository: RepositoryName;
      readonly select: TagSelection;
    };

/** In characters. */
export const MAX_SELECTOR = 700;
const EXAMPLES = "docker.io/library/nginx:1.27, or docker.io/library/node:>=22 <25";
/** In characters: reading a range takes up to 0.2 ms. */
const MAX_RANGE = 200;
/** What a range has, and a tag has not. */
const COMPARATOR = /[<>=~^|\s]/;
/** `22.*`: also a range; any other text with stars is a pattern. */
const ANY_BELOW = /^v?(?:\d+\.)*\*$/;

/**
 * Parses `nginx`, `ghcr.io/org/app@sha256:…`, `docker.io/library/node:>=22 <25` (a range of versions, as npm
 * has them), `registry.k8s.io/pause:3.*` or `quay.io/org/app:release-*`.
 *
 * @returns for anything else why, which goes on after the text
 */
export function parseImageSelector(written: string): ImageSelector | string {
  const text = written.trim();
  if (text.length > MAX_SELECTOR) return `is longer than ${MAX_SELECTOR} characters`;
  const image = parseImageReference(text);
  if (image) return { kind: "image", text: imageName(image), image };
  // Ranges have no slash, so that the last one is that of the name.
  const colon = text.indexOf(":", text.lastIndexOf("/") + 1);
  const [name, range] = colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
  const named = parseImageReference(name);
  if (!named || named.digest) return `is not an image: write ${EXAMPLES}`;
  if (range.includes("@")) {
    return "has a digest, which goes with a tag or nothing, and not with a range of versions";
  }
  if (range.length > MAX_RANGE) return `has a range of more than ${MAX_RANGE} characters`;
  const isRange = COMPARATOR.test(range) || ANY_BELOW.test(range);
  const select = isRange ? inRange(range) : likePattern(range);
  if (!select || (!isRange && !range.includes("*"))) {
    return `has ${quote(range)}, which is neither a tag nor a range of versions: write ${EXAMPLES}`;
  }
  const { upstream, repository } = named;
  return { kind: "tags", text: `${upstream}/${repository}:${range}`, upstream, repository, select };
}
