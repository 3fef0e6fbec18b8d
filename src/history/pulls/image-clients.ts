import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { ImageClient } from "../../store/history-store.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";

/** How many wait to be written. */
const MAX_WAITING = 5000;

/** Who pulled which image since that was last written. */
export class ImageClients {
  #waiting = new Map<string, ImageClient>();

  pulled(repo: RepositoryRef, reference: Tag | Digest, client: string, pulledAt: number): void {
    this.#add({ repo, reference, client, pulledAt, pulls: 1 });
  }

  /** What is to be written, and is forgotten here. */
  take(): readonly ImageClient[] {
    const taken = [...this.#waiting.values()];
    this.#waiting = new Map();
    return taken;
  }

  /** They could not be written. */
  putBack(taken: readonly ImageClient[]): void {
    for (const one of taken) this.#add(one);
  }

  /** Those that are not written yet. */
  get all(): readonly ImageClient[] {
    return [...this.#waiting.values()];
  }

  /** Those of a repository that are not written yet. */
  of({ upstream, repository }: RepositoryRef): readonly ImageClient[] {
    return [...this.#waiting.values()].filter(
      ({ repo }) => repo.upstream === upstream && repo.repository === repository,
    );
  }

  #add(one: ImageClient): void {
    const { repo, reference, client } = one;
    const key = `${repo.upstream}/${repo.repository}@${reference} ${client}`;
    const before = this.#waiting.get(key);
    if (!before && this.#waiting.size >= MAX_WAITING) return;
    const pulls = one.pulls + (before?.pulls ?? 0);
    const pulledAt = Math.max(one.pulledAt, before?.pulledAt ?? 0);
    this.#waiting.set(key, { ...one, pulls, pulledAt });
  }
}
