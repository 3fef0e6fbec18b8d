import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import { RefusedError } from "./refused-error.ts";

/** @throws RefusedError if what an operator wrote is no image pattern */
export function requestedPattern(text: string): ImagePattern {
  const pattern = parseImagePattern(text);
  if (pattern) return pattern;
  const shown = JSON.stringify(text.slice(0, 100));
  throw new RefusedError(
    "invalid-argument",
    `${shown} is not a valid pattern`,
    "write the name of an image, such as docker.io/library/nginx:1.29 or ghcr.io/org/*",
  );
}
