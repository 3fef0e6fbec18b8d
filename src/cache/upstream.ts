import { matchesAny } from "../config/parsing/repository-pattern.ts";
import type { UpstreamSettings } from "../config/settings.ts";
import type { Digest } from "../oci/digest.ts";
import type { ByteRange } from "../oci/range.ts";
import type { RepositoryRef } from "../store/metadata-store.ts";
import type { Registry } from "../upstream/registry.ts";
import type { Source, Transfer } from "./fill/source.ts";

/** A configured upstream: what the owner says of it now, and the registry itself. */
export interface Upstream {
  readonly settings: UpstreamSettings;
  readonly registry: Registry;
}

/** Whether the owner wants what is in a repository passed through and never stored. */
export function isBypassed({ settings }: Upstream, { repository }: RepositoryRef): boolean {
  return matchesAny(settings.bypass, repository);
}

/** A blob in a repository of an upstream. */
export class UpstreamSource implements Source {
  readonly #upstream: Upstream;
  readonly #repo: RepositoryRef;
  readonly #digest: Digest;

  constructor(upstream: Upstream, repo: RepositoryRef, digest: Digest) {
    this.#upstream = upstream;
    this.#repo = repo;
    this.#digest = digest;
  }

  get name(): string {
    return `${this.#repo.upstream}/${this.#repo.repository}`;
  }

  get repository(): RepositoryRef["repository"] {
    return this.#repo.repository;
  }

  open(offset: number, signal: AbortSignal): Promise<Transfer> {
    return this.#upstream.registry.getBlob(this.#repo.repository, this.#digest, offset, signal);
  }

  /** A transfer of these bytes alone, apart from any fill. */
  range({ first, last }: ByteRange): Promise<Transfer> {
    const { registry } = this.#upstream;
    return registry.getBlob(this.#repo.repository, this.#digest, first, undefined, last + 1);
  }
}
