import { z } from "zod";
import { type Digest, digestAlgorithm, digestHex } from "../../oci/digest.ts";
import { parseImageReference } from "../../oci/image-reference.ts";
import { parseObject } from "../../oci/json-object.ts";
import { looksLikeRegistry } from "../../oci/names.ts";
import { RefusedEvidence } from "./refused-evidence.ts";

/** The predicate that cosign 3 signs where no attestation is meant. */
export const COSIGN_SIGNATURE = "https://sigstore.dev/cosign/sign/v1";
/** The annotation that names the repository: `cosign sign -a repository=ghcr.io/acme/app`. */
const REPOSITORY_ANNOTATION = "repository";
const STATEMENT_TYPE = "application/vnd.in-toto+json";
const STATEMENTS: ReadonlySet<string> = new Set([
  "https://in-toto.io/Statement/v0.1",
  "https://in-toto.io/Statement/v1",
]);
const SIMPLE_SIGNING_TYPES: ReadonlySet<string> = new Set([
  "cosign container image signature",
  "atomic container signature",
]);

/** What was signed of an image, read only after its signature was verified. */
export interface Claim {
  /** Of an attestation; absent for a signature. */
  readonly predicateType?: string;
  /** The repositories that it names, as `ghcr.io/acme/app`. It may name none. */
  readonly repositories: readonly string[];
}

const subject = z.looseObject({
  name: z.string().optional(),
  digest: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.unknown()).nullish(),
});

const statement = z.looseObject({
  _type: z.string(),
  predicateType: z.string().min(1),
  subject: z.array(subject).min(1),
});

const simpleSigning = z.looseObject({
  critical: z.looseObject({
    type: z.string(),
    identity: z.looseObject({ "docker-reference": z.string() }),
    image: z.looseObject({ "docker-manifest-digest": z.string() }),
  }),
});

/**
 * What an in-toto statement says of a digest.
 *
 * @throws RefusedEvidence if it is about something else
 */
export function statementClaim(payloadType: string, payload: Uint8Array, digest: Digest): Claim {
  if (payloadType !== STATEMENT_TYPE) {
    throw new RefusedEvidence(
      `it is about ${JSON.stringify(payloadType)}, and no in-toto statement`,
    );
  }
  const { data } = statement.safeParse(parseObject(payload));
  if (!data || !STATEMENTS.has(data["_type"])) {
    throw new RefusedEvidence("what is signed is no in-toto statement");
  }
  const algorithm = digestAlgorithm(digest);
  const own = data.subject.filter((one) => one.digest?.[algorithm] === digestHex(digest));
  if (own.length === 0) {
    const [first] = data.subject.flatMap((one) => one.digest?.[algorithm] ?? []);
    throw new RefusedEvidence(
      first === undefined ? "it names no digest" : `it is of ${algorithm}:${first}`,
    );
  }
  const repositories = own.flatMap(({ name, annotations }) =>
    [name, annotations?.[REPOSITORY_ANNOTATION]].flatMap((text) => repositoryIn(textOf(text))),
  );
  const { predicateType } = data;
  return predicateType === COSIGN_SIGNATURE ? { repositories } : { repositories, predicateType };
}

/**
 * What a payload of simple signing says (containers/image, atomic-signature.md), as cosign 2 signs it.
 *
 * @throws RefusedEvidence if it is about another digest
 */
export function simpleSigningClaim(payload: Uint8Array, digest: Digest): Claim {
  const { data } = simpleSigning.safeParse(parseObject(payload));
  if (!data || !SIMPLE_SIGNING_TYPES.has(data.critical.type)) {
    throw new RefusedEvidence("what is signed says nothing of an image");
  }
  const { identity, image } = data.critical;
  const of = image["docker-manifest-digest"];
  if (of !== digest) throw new RefusedEvidence(`it is of ${JSON.stringify(of.slice(0, 80))}`);
  const optional = z.looseObject({ optional: z.record(z.string(), z.unknown()) }).safeParse(data);
  return {
    repositories: [
      ...repositoryIn(identity["docker-reference"]),
      ...repositoryIn(textOf(optional.data?.optional[REPOSITORY_ANNOTATION])),
    ],
  };
}

/**
 * Binds what is signed to a repository: otherwise an old and vulnerable image, properly signed, could be pushed in the
 * place of another one.
 *
 * @param accepted the names under which the repository is known, as `ghcr.io/acme/app`
 * @throws RefusedEvidence
 */
export function checkRepository(
  { repositories }: Claim,
  accepted: ReadonlySet<string>,
  mode: "any" | "named",
): void {
  const [first] = repositories;
  if (first === undefined) {
    if (mode === "any") return;
    throw new RefusedEvidence(
      "it names no repository, and the rule wants it named: sign with -a repository=…",
    );
  }
  if (!repositories.some((name) => accepted.has(name))) {
    throw new RefusedEvidence(`it is of the repository ${JSON.stringify(first.slice(0, 200))}`);
  }
}

/** Names of files, packages (`pkg:oci/…`) and builds are no repositories. */
function repositoryIn(text: string): string[] {
  const slash = text.indexOf("/");
  if (slash < 0 || !looksLikeRegistry(text.slice(0, slash))) return [];
  const reference = parseImageReference(text);
  if (!reference) return [];
  const { upstream, repository } = reference;
  return [`${upstream}/${repository}`];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
