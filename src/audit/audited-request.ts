/** How the cache came by what it sent. */
export type AuditedResult = "hit" | "miss" | "revalidated" | "stale" | "bypass" | "collapsed";

/** A request of a node for a manifest or a blob, once it has ended. */
export interface AuditedRequest {
  /** When it ended, in milliseconds since the epoch. */
  readonly at: number;
  readonly milliseconds: number;
  readonly client: string;
  /** Who pulled, where that is known. */
  readonly principal?: string | undefined;
  readonly agent: string;
  readonly upstream: string;
  readonly repository: string;
  /** Absent if the request was refused before it was known. */
  readonly kind?: "manifest" | "blob" | undefined;
  readonly reference?: string | undefined;
  readonly isTag: boolean;
  /** Of the manifest that was sent. */
  readonly digest?: string | undefined;
  readonly isHead: boolean;
  readonly status: number;
  /** Whether it was only asked to show who it is, as runtimes wait for. */
  readonly isChallenged?: boolean;
  readonly result?: AuditedResult | undefined;
  /** Of the body that was sent. */
  readonly bytes: number;
  readonly error?: string | undefined;
  /** Why the tag is not what its registry says, if it is held. */
  readonly held?: string | undefined;
}
