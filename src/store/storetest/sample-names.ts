import { type Digest, digestOf } from "../../oci/digest.ts";
import { parseRepositoryName, parseTag, type Tag, parseUpstreamName } from "../../oci/names.ts";
import type { RepositoryRef } from "../metadata-store.ts";

/** A repository, by names that have to be valid. */
export function repositoryRef(upstream: string, repository: string): RepositoryRef {
  return {
    upstream: parsed(parseUpstreamName(upstream)),
    repository: parsed(parseRepositoryName(repository)),
  };
}

/** A tag, by a name that has to be valid. */
export function tag(text: string): Tag {
  return parsed(parseTag(text));
}

/** A digest of sha256 that is determined by a number. */
export function digestNumber(number: number): Digest {
  return digestOf(new TextEncoder().encode(String(number)));
}

function parsed<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a name in a test is not valid");
  return value;
}
