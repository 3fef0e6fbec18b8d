import type { ImageNews, KnownImage } from "../../cache/held/image-news.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Ledger } from "../ledger/ledger.ts";

/** What replicas tell each other of what images are made of. */
export class ImageFacts implements ImageNews {
  readonly #ledger: Pick<Ledger, "images" | "tell">;

  constructor(ledger: Pick<Ledger, "images" | "tell">) {
    this.#ledger = ledger;
  }

  madeOf(repo: RepositoryRef, manifest: Digest, seenAgeMs: number, parts: readonly Digest[]): void {
    if (parts.length === 0) return;
    this.#ledger.tell({ kind: "parts", repo, image: manifest, parts, ageMs: seenAgeMs });
  }

  imagesWith(repo: RepositoryRef, digest: Digest): Promise<readonly KnownImage[]> {
    return this.#ledger.images(repo, digest);
  }
}
