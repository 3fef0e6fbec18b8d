import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { fullFormats } from "ajv-formats/dist/formats.js";
import { z } from "zod";

const SCHEMAS = fileURLToPath(
  new URL("../../../node_modules/@cyclonedx/cyclonedx-library/res/schema/", import.meta.url),
);

/** Validates by the JSON schema of CycloneDX 1.5. */
export function cyclonedxValidator(): ReturnType<Ajv["compile"]> {
  const ajv = new Ajv({
    strict: false,
    formats: { ...fullFormats, "idn-email": true, "iri-reference": true },
  });
  const schema = (name: string) => {
    const text = readFileSync(join(SCHEMAS, `${name}.SNAPSHOT.schema.json`), "utf8");
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  };
  for (const name of ["spdx", "jsf-0.82"]) {
    ajv.addSchema({
      ...schema(name),
      $id: `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`,
    });
  }
  return ajv.compile(schema("bom-1.5"));
}

/** SPDX 2.3, as far as these documents use it: https://spdx.github.io/spdx-spec/v2.3/ */
const element = z.string().regex(/^SPDXRef-[A-Za-z0-9.-]+$/);
const spdxDocument = z.strictObject({
  spdxVersion: z.literal("SPDX-2.3"),
  dataLicense: z.literal("CC0-1.0"),
  SPDXID: z.literal("SPDXRef-DOCUMENT"),
  name: z.string(),
  documentNamespace: z.url(),
  creationInfo: z.strictObject({
    created: z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/),
    creators: z.array(z.string().regex(/^(?:Person|Organization|Tool): /)).min(1),
  }),
  documentDescribes: z.array(element).min(1),
  packages: z.array(
    z.strictObject({
      name: z.string(),
      SPDXID: element,
      versionInfo: z.string().optional(),
      packageFileName: z.string().optional(),
      description: z.string().optional(),
      primaryPackagePurpose: z.enum(["APPLICATION", "CONTAINER", "LIBRARY"]).optional(),
      downloadLocation: z.string(),
      filesAnalyzed: z.boolean(),
      homepage: z.string().optional(),
      licenseDeclared: z.string(),
      licenseComments: z.string().optional(),
      sourceInfo: z.string().optional(),
      supplier: z
        .string()
        .regex(/^(?:Person|Organization): /)
        .optional(),
      externalRefs: z
        .array(
          z.strictObject({
            referenceCategory: z.literal("PACKAGE-MANAGER"),
            referenceType: z.literal("purl"),
            referenceLocator: z.string().startsWith("pkg:"),
          }),
        )
        .optional(),
      checksums: z
        .array(
          z.strictObject({
            algorithm: z.enum(["SHA256", "SHA512", "SHA1"]),
            checksumValue: z.string().regex(/^[0-9a-f]+$/),
          }),
        )
        .optional(),
    }),
  ),
  relationships: z.array(
    z.strictObject({
      spdxElementId: element,
      relatedSpdxElement: element,
      relationshipType: z.string().regex(/^[A-Z_]+$/),
    }),
  ),
});

/** Checks that a document is one of SPDX 2.3, and names no element that it does not have. */
export function checkSpdx(document: unknown): void {
  const { documentDescribes, packages, relationships } = spdxDocument.parse(document);
  const known = packages.map(({ SPDXID }) => SPDXID);
  expect(new Set(known).size).toBe(known.length);
  const named = relationships.flatMap((one) => [one.spdxElementId, one.relatedSpdxElement]);
  const unknown = [...documentDescribes, ...named].filter((one) => !known.includes(one));
  expect([...new Set(unknown)]).toEqual(["SPDXRef-DOCUMENT"]);
}

const digests = z.partialRecord(
  z.enum(["sha256", "sha512", "gitCommit"]),
  z.string().regex(/^[0-9a-f]+$/),
);

/** An in-toto statement with the fields that https://slsa.dev/spec/v1.0/provenance requires. */
export const statement = z.strictObject({
  _type: z.literal("https://in-toto.io/Statement/v1"),
  subject: z
    .array(z.strictObject({ name: z.string(), digest: z.strictObject({ sha256: z.string() }) }))
    .min(1),
  predicateType: z.literal("https://slsa.dev/provenance/v1"),
  predicate: z.strictObject({
    buildDefinition: z.strictObject({
      buildType: z.url(),
      externalParameters: z.looseObject({}),
      internalParameters: z.looseObject({}),
      resolvedDependencies: z
        .array(
          z.strictObject({
            uri: z.string().optional(),
            name: z.string().optional(),
            digest: digests.optional(),
          }),
        )
        .min(20),
    }),
    runDetails: z.strictObject({
      builder: z.strictObject({ id: z.url() }),
      metadata: z.looseObject({}),
    }),
  }),
});
