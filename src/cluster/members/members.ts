/** A replica of the cache. */
export interface Member {
  /** Unique in the cluster, and the same for all who know the member: the address that it advertises. */
  readonly id: string;
  /** Where other replicas reach it; a path is not allowed. */
  readonly url: URL;
}

/** Who is believed to be alive. No two replicas need to agree: what they disagree about costs a download more. */
export interface Members {
  readonly self: Member;
  /** Without those that are known to be gone; `self` is one of them. At most 256. */
  living(): readonly Member[];
}

/** Those of whatever says who they are at the moment. */
export function membersOf(current: () => Members): Members {
  return {
    get self() {
      return current().self;
    },
    living: () => current().living(),
  };
}
