/** What a cluster did in the days that count. Sums over all replicas; bytes and requests. */
export interface Traffic {
  images: number;
  blobs: number;
  sentBytes: number;
  hits: number;
  /** Blobs that a replica brought in, by where they came from. */
  readonly broughtIn: Record<"upstream" | "store" | "replica", number>;
  readonly broughtInBytes: Record<"upstream" | "store" | "replica", number>;
  storeHeads: number;
  storePuts: number;
  storePutBytes: number;
  /** Requests that found nothing in the store. */
  storeMisses: number;
  /** Requests to the registries for a tag. */
  tagHeads: number;
  /** Questions to the ledger about an expired tag. */
  tagQuestions: number;
  /** Questions whether a manifest from the store may be seen in its repository. */
  placeQuestions: number;
  /** Tags told to the ledger, and of these the ones that all replicas hear of. */
  tagsTold: number;
  tagsMoved: number;
  /** Blobs that replicas told that they were used, in batches of half a minute. */
  usesTold: number;
}

export function noTraffic(): Traffic {
  return {
    images: 0,
    blobs: 0,
    sentBytes: 0,
    hits: 0,
    broughtIn: { upstream: 0, store: 0, replica: 0 },
    broughtInBytes: { upstream: 0, store: 0, replica: 0 },
    storeHeads: 0,
    storePuts: 0,
    storePutBytes: 0,
    storeMisses: 0,
    tagHeads: 0,
    tagQuestions: 0,
    placeQuestions: 0,
    tagsTold: 0,
    tagsMoved: 0,
    usesTold: 0,
  };
}
