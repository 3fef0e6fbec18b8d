// SLSA provenance, version 1: https://slsa.dev/spec/v1.0/provenance
import { isRuntime, npmSbom } from "./dependencies.mjs";
import { repository, source } from "./image-config.mjs";

export const provenanceType = "application/vnd.in-toto+json";

/**
 * An in-toto statement of how images were built. It has no times and no ID of an invocation, since the same sources
 * give the same statement; nor a signature, which is made where it is published.
 *
 * @param digests of what is described
 */
export function provenance(digests, { revision, architectures, runtimes, packages, base }) {
  const { commit, epoch } = revision;
  const hex = (digest) => digest.replace("sha256:", "");
  const isClean = commit !== undefined && !commit.endsWith("-dirty");
  const libraries = npmSbom("cyclonedx").components.filter(({ name }) => !isRuntime(name));
  const dependencies = [
    {
      uri: `git+${source}${commit === undefined ? "" : `@${commit}`}`,
      ...(isClean ? { digest: { gitCommit: commit } } : {}),
    },
    ...runtimes.map((one) => ({ uri: one.purl, digest: { sha512: one.sha512 } })),
    ...libraries.map(({ purl, hashes }) => ({
      uri: purl,
      digest: { sha512: hashes.find(({ alg }) => alg === "SHA-512").content },
    })),
    ...packages.map((one) => ({ uri: one.purl, digest: { sha256: one.sha256 } })),
    ...(base === undefined ? [] : [{ name: base.name, digest: { sha256: base.sha256 } }]),
  ];
  return {
    _type: "https://in-toto.io/Statement/v1",
    subject: digests.map((digest) => ({ name: repository, digest: { sha256: hex(digest) } })),
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: `${source}/blob/main/docs/how-to/run-the-image.md#provenance`,
        externalParameters: {
          source: `git+${source}`,
          command: "npm run image",
          architectures,
          SOURCE_DATE_EPOCH: epoch,
        },
        internalParameters: {},
        resolvedDependencies: dependencies,
      },
      runDetails: {
        builder: { id: process.env.ENTREPOT_BUILDER_ID ?? `${source}/blob/main/scripts/image.mjs` },
        metadata: {},
      },
    },
  };
}
