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

/** A request that has to be corrected. */
export function invalid(detail: string): ProblemError {
  return new ProblemError({ status: 400, detail, next: "correct it, and send the request again" });
}
