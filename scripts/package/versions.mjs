// One version in the forms that packages have it.

const SEMVER =
  /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[a-z-][\da-z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-z-][\da-z-]*))*)?$/i;

/** Whether this is a version of Semantic Versioning, without build metadata, which tags of images cannot have. */
export function isVersion(text) {
  return SEMVER.test(text);
}

/** Sorts before the version that it leads up to, for dpkg as for rpm: 1.0.0-rc.1 becomes 1.0.0~rc.1. */
export function packageVersion(version) {
  if (!isVersion(version)) throw new Error(`${version} is no version such as 1.2.3 or 1.2.3-rc.1`);
  // A hyphen would begin Debian's revision, and is not allowed in a version of rpm.
  return version.replace("-", "~").replaceAll("-", ".");
}

/** The names of an architecture: of Node.js, dpkg and rpm. */
export const architectures = {
  x64: { debian: "amd64", rpm: "x86_64" },
  arm64: { debian: "arm64", rpm: "aarch64" },
};
