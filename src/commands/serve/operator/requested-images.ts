import { type ImageReference, parseImageReference } from "../../../oci/image-reference.ts";
import { isPlatform } from "../../../oci/platform-match.ts";
import { ProblemError } from "../../../server/api/problem-details.ts";

/** @throws ProblemError */
export function mustBePlatforms(platforms: readonly string[]): void {
  const other = platforms.find((platform) => platform !== "all" && !isPlatform(platform));
  if (other === undefined) return;
  throw invalid(
    `${JSON.stringify(other)} is not a platform: write os/architecture, such as linux/amd64, or all`,
  );
}

/** A request that has to be corrected: the text ends with what to write. */
export function invalid(text: string): ProblemError {
  const [detail = text, next = "correct it, and send the request again"] =
    text.split(/: (?=write )/);
  return new ProblemError({ status: 400, detail, next });
}

/** @throws ProblemError */
export function requestedImage(text: string): ImageReference {
  const image = parseImageReference(text);
  if (image) return image;
  throw invalid(
    `${JSON.stringify(text)} is not an image: write one such as docker.io/library/nginx:1.27`,
  );
}
