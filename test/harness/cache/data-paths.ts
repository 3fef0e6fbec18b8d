import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../../../src/oci/digest.ts";
import { partialName } from "../../../src/store/partial-name.ts";

export const PLACES = ["blobs", "fills", "sidecars", "metadata", "data"] as const;
export type Place = (typeof PLACES)[number];

/** The paths of a data directory that strace matches: those there are, and those there may be soon. */
export class DataPaths {
  readonly #data: string;
  readonly #digests: readonly Digest[];
  readonly #upstreams: readonly string[];

  constructor(data: string, digests: readonly Digest[], ...upstreams: readonly string[]) {
    this.#data = data;
    this.#digests = digests;
    this.#upstreams = upstreams;
  }

  of(place: Place): readonly string[] {
    const existing = place === "data" ? this.#existing("") : [];
    switch (place) {
      case "metadata":
        return ["", "-wal", "-shm", "-journal"].map((end) => this.#path(`metadata.db${end}`));
      case "blobs":
        return [
          this.#path("blobs"),
          this.#path("blobs/sha256"),
          ...this.#perDigest("blobs/sha256", ""),
        ];
      case "fills":
        return [
          this.#path("fills"),
          ...this.#digests.flatMap((digest) =>
            this.#upstreams.map((upstream) => this.#path("fills", partialName(digest, upstream))),
          ),
        ];
      case "sidecars": {
        const folders = ["sidecars", "sidecars/sha256", "sidecars/writing"].map((name) =>
          this.#path(name),
        );
        const writing = Array.from({ length: 300 }, (_, at) =>
          this.#path("sidecars/writing", String(at)),
        );
        return [
          ...folders,
          ...this.#perDigest("sidecars/sha256", ".json"),
          ...writing,
          this.#path("sidecars/pins.json"),
        ];
      }
      case "data": {
        const known = (["metadata", "blobs", "fills", "sidecars"] as const).flatMap((one) =>
          this.of(one),
        );
        return [...new Set([this.#data, ...existing, ...known])];
      }
    }
  }

  #perDigest(folder: string, end: string): string[] {
    return this.#digests.flatMap((digest) => {
      const hex = digest.slice(7);
      const inside = this.#path(folder, hex.slice(0, 2));
      return [inside, join(inside, `${hex}${end}`)];
    });
  }

  #existing(folder: string): string[] {
    const root = this.#path(folder);
    return readdirSync(root, { recursive: true, encoding: "utf8" }).map((name) => join(root, name));
  }

  #path(...names: string[]): string {
    return join(this.#data, ...names);
  }
}
