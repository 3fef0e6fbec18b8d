/** `os/architecture[/variant]`, as in an image index. */
const PLATFORM = /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/;

/** What BuildKit gives the manifests of attestations in an index. */
export const ATTESTATION = "unknown/unknown";

/** Whether a text is the name of a platform, such as `linux/arm64`. */
export function isPlatform(text: string): boolean {
  return PLATFORM.test(text) && text !== ATTESTATION;
}

/**
 * Whether an image of one platform is what runs on another. A variant that is not named is any: an arm64
 * descriptor may add its own, linux/arm64/v8.
 */
export function matchesPlatform(offered: string, wanted: string): boolean {
  const [one, other] = [bare(offered), bare(wanted)];
  return one === other || one.startsWith(`${other}/`);
}

/** Without the variant that every such processor has. */
function bare(platform: string): string {
  return platform
    .replace(/^([a-z0-9]+\/arm64)\/v8$/, "$1")
    .replace(/^([a-z0-9]+\/amd64)\/v1$/, "$1");
}
