// Software bills of materials of the image: npm's own, completed by Bun and the packages of Debian.
import { createHash } from "node:crypto";
import { isRuntime, npmSbom } from "./dependencies.mjs";
import { repository, source } from "./image-config.mjs";

/**
 * @typedef {object} Contents
 * @property {string} version
 * @property {string} date in ISO 8601
 * @property {string} digest of the image or of the index
 * @property {object[]} runtimes
 * @property {object[]} packages of Debian
 * @property {{ name: string, sha256: string } | undefined} base given instead of packages
 */

export const spdxType = "application/spdx+json";
export const cyclonedxType = "application/vnd.cyclonedx+json";

function imagePurl({ digest }) {
  return `pkg:oci/entrepot@${encodeURIComponent(digest)}?repository_url=${repository}`;
}

/** A version 5-like UUID of what is described, so that the same image gives the same document. */
function uuidOf({ version, date, digest, runtimes, packages, base }) {
  const made = [...runtimes, ...packages].map(({ purl }) => purl);
  const identity = [version, date, digest, made, base?.sha256];
  const hex = createHash("sha256").update(JSON.stringify(identity)).digest("hex");
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`];
  return [...parts, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-");
}

/** @param {Contents} contents */
export function spdxSbom(contents, npm = npmSbom("spdx")) {
  const { version, date, digest, runtimes, packages, base } = contents;
  const dropped = new Set(
    npm.packages.filter(({ name }) => isRuntime(name)).map(({ SPDXID }) => SPDXID),
  );
  const kept = npm.packages.filter(({ SPDXID }) => !dropped.has(SPDXID));
  const relations = npm.relationships.filter(
    (one) =>
      one.spdxElementId !== "SPDXRef-DOCUMENT" &&
      !dropped.has(one.spdxElementId) &&
      !dropped.has(one.relatedSpdxElement),
  );
  const [program] = npm.documentDescribes;
  const described = kept.find(({ SPDXID }) => SPDXID === program);
  described.primaryPackagePurpose = "APPLICATION";
  const image = "SPDXRef-Image";
  const added = [
    ...runtimes.map(spdxRuntime),
    ...packages.map(spdxDebian),
    ...(base === undefined ? [] : [spdxBase(base)]),
  ];
  const contains = (element) => ({
    spdxElementId: image,
    relatedSpdxElement: element,
    relationshipType: "CONTAINS",
  });
  return {
    ...npm,
    name: `entrepot-${version}`,
    documentNamespace: `${source}/sbom/${version}-${uuidOf(contents)}`,
    creationInfo: { ...npm.creationInfo, created: date },
    documentDescribes: [image],
    packages: [
      {
        ...spdxPackage(image, repository, version, imagePurl(contents)),
        primaryPackagePurpose: "CONTAINER",
        licenseDeclared: "Apache-2.0",
        checksums: [{ algorithm: "SHA256", checksumValue: digest.replace("sha256:", "") }],
      },
      ...kept,
      ...added,
    ],
    relationships: [
      {
        spdxElementId: "SPDXRef-DOCUMENT",
        relatedSpdxElement: image,
        relationshipType: "DESCRIBES",
      },
      contains(program),
      ...added.map(({ SPDXID }) => contains(SPDXID)),
      ...relations,
    ],
  };
}

function spdxPackage(SPDXID, name, version, purl) {
  return {
    name,
    SPDXID,
    ...(version === undefined ? {} : { versionInfo: version }),
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    ...(purl === undefined
      ? {}
      : {
          externalRefs: [
            {
              referenceCategory: "PACKAGE-MANAGER",
              referenceType: "purl",
              referenceLocator: purl,
            },
          ],
        }),
  };
}

function spdxRuntime(one) {
  const id = spdxId("Bun", one.name, one.version);
  return {
    ...spdxPackage(id, one.name, one.version, one.purl),
    licenseDeclared: one.license,
    licenseComments: one.comment,
    checksums: [{ algorithm: "SHA512", checksumValue: one.sha512 }],
  };
}

function spdxDebian(one) {
  const id = spdxId("Debian", one.name, one.architecture, one.version);
  return {
    ...spdxPackage(id, one.name, one.version, one.purl),
    licenseDeclared: one.license,
    sourceInfo: `built from the source package ${one.source}`,
    ...(one.maintainer === undefined ? {} : { supplier: `Organization: ${one.maintainer}` }),
    checksums: [{ algorithm: "SHA256", checksumValue: one.sha256 }],
  };
}

function spdxBase(base) {
  return {
    ...spdxPackage(spdxId("Base", base.name), base.name),
    licenseDeclared: "NOASSERTION",
    checksums: [{ algorithm: "SHA256", checksumValue: base.sha256 }],
  };
}

function spdxId(...words) {
  return `SPDXRef-${words.join("-").replaceAll(/[^A-Za-z0-9.-]+/g, "-")}`;
}

/** @param {Contents} contents */
export function cyclonedxSbom(contents, npm = npmSbom("cyclonedx")) {
  const { version, date, digest, runtimes, packages, base } = contents;
  const dropped = new Set(
    npm.components.filter(({ name }) => isRuntime(name)).map((one) => one["bom-ref"]),
  );
  const program = { ...npm.metadata.component, name: "entrepot", type: "application" };
  const added = [
    ...runtimes.map(cyclonedxRuntime),
    ...packages.map(cyclonedxDebian),
    ...(base === undefined ? [] : [cyclonedxBase(base)]),
  ];
  const image = {
    "bom-ref": imagePurl(contents),
    type: "container",
    name: repository,
    version,
    purl: imagePurl(contents),
    hashes: hash("SHA-256", digest.replace("sha256:", "")),
    licenses: license("Apache-2.0"),
  };
  const inImage = [program["bom-ref"], ...added.map((one) => one["bom-ref"])];
  return {
    ...npm,
    serialNumber: `urn:uuid:${uuidOf(contents)}`,
    metadata: {
      ...npm.metadata,
      timestamp: date,
      lifecycles: [{ phase: "build" }],
      component: image,
    },
    components: [
      program,
      ...npm.components.filter((one) => !dropped.has(one["bom-ref"])),
      ...added,
    ],
    dependencies: [
      { ref: image["bom-ref"], dependsOn: inImage },
      ...npm.dependencies
        .filter(({ ref }) => !dropped.has(ref))
        .map(({ ref, dependsOn }) => ({
          ref,
          dependsOn: dependsOn.filter((one) => !dropped.has(one)),
        })),
      ...added.map((one) => ({ ref: one["bom-ref"], dependsOn: [] })),
    ],
  };
}

function cyclonedxRuntime(one) {
  return {
    "bom-ref": one.purl,
    type: "platform",
    name: one.name,
    version: one.version,
    description: one.comment,
    purl: one.purl,
    hashes: hash("SHA-512", one.sha512),
    licenses: license(one.license),
  };
}

function cyclonedxDebian(one) {
  return {
    "bom-ref": one.purl,
    type: "library",
    name: one.name,
    version: one.version,
    purl: one.purl,
    hashes: hash("SHA-256", one.sha256),
    licenses: license(one.license),
    ...(one.maintainer === undefined ? {} : { supplier: { name: one.maintainer } }),
  };
}

function cyclonedxBase(base) {
  return {
    "bom-ref": `base@${base.sha256}`,
    type: "file",
    name: base.name,
    hashes: hash("SHA-256", base.sha256),
  };
}

function license(expression) {
  const isOne = !/ (?:AND|OR) /.test(expression);
  return isOne ? [{ license: { id: expression } }] : [{ expression }];
}

function hash(alg, content) {
  return [{ alg, content }];
}
