import type { Digest } from "../../oci/digest.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { Member } from "../members/members.ts";

/**
 * What a download of this replica is doing with others:
 * - `looking`: it asks whether they have the blob, which they answer at once
 * - `following`: it has asked one to download the blob, or receives it from that one
 */
export interface Pursuit {
  readonly kind: "looking" | "following";
  readonly member: Member;
}

type Key = `${UpstreamName} ${Digest}`;

/**
 * What this replica asks of others now. Whoever follows tells other replicas from the moment it asks, so that
 * none of them follows it.
 */
export class Following {
  readonly #pursuits = new Map<Key, Set<Pursuit>>();
  #changed = Promise.withResolvers<void>();

  /** One that follows, rather than one that looks. */
  of(upstream: UpstreamName, digest: Digest): Pursuit | undefined {
    const pursuits = [...(this.#pursuits.get(`${upstream} ${digest}`) ?? [])];
    return pursuits.find(({ kind }) => kind === "following") ?? pursuits[0];
  }

  /** @returns ends it; to be called once or more */
  begin(upstream: UpstreamName, digest: Digest, pursuit: Pursuit): () => void {
    const key: Key = `${upstream} ${digest}`;
    const pursuits = this.#pursuits.get(key) ?? new Set();
    this.#pursuits.set(key, pursuits.add(pursuit));
    this.#wake();
    return () => {
      if (!pursuits.delete(pursuit)) return;
      if (pursuits.size === 0 && this.#pursuits.get(key) === pursuits) this.#pursuits.delete(key);
      this.#wake();
    };
  }

  /** Resolves when any of it has changed. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}
