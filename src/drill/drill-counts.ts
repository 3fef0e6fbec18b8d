import type { Drill, DrilledImage } from "../api/drill.ts";

/** The most images of which each is counted: some 500 KB. */
const MAX_IMAGES = 1000;

/** A request for something of an upstream, and what came of it. */
export interface DrilledRequest {
  readonly upstream: string;
  /** `docker.io/library/nginx:1.27`, or with a digest. */
  readonly image: string;
  readonly outcome: "served" | "stale" | "failed";
  readonly error?: string | undefined;
}

type Counted = { -readonly [Key in keyof DrilledImage]: DrilledImage[Key] };

/** What is counted during a drill. */
export class DrillCounts {
  readonly #requests = { served: 0, stale: 0, failed: 0 };
  readonly #images = new Map<string, Counted>();
  #uncounted = 0;

  add({ image, outcome, error }: DrilledRequest): void {
    this.#requests[outcome] += 1;
    const counted = this.#images.get(image) ?? { image, served: 0, stale: 0, failed: 0 };
    if (this.#images.size >= MAX_IMAGES && !this.#images.has(image)) {
      this.#uncounted += 1;
      return;
    }
    this.#images.set(image, counted);
    counted[outcome] += 1;
    if (error !== undefined) counted.error = error;
  }

  get figures(): Pick<Drill, "requests" | "images" | "uncounted"> {
    const images = [...this.#images.values()].toSorted(
      (a, b) => b.failed - a.failed || b.stale - a.stale || (a.image < b.image ? -1 : 1),
    );
    return {
      requests: { ...this.#requests },
      images: structuredClone(images),
      ...(this.#uncounted > 0 ? { uncounted: this.#uncounted } : {}),
    };
  }
}
