import type { PullResult } from "../api/pulls.ts";
import type { Digest } from "../oci/digest.ts";
import type { Tag } from "../oci/names.ts";
import type { RepositoryRef } from "../store/repository-ref.ts";

/** A request for a manifest or a blob that was answered. */
export interface ServedRequest {
  /** When it ended, in milliseconds of the epoch. */
  readonly at: number;
  /** From its arrival to its end. */
  readonly milliseconds: number;
  /** The client's address. */
  readonly client: string;
  readonly userAgent: string;
  readonly repo: RepositoryRef;
  readonly kind: "manifest" | "blob";
  readonly reference: Tag | Digest;
  /** Of the manifest that a tag pointed to, or that was asked for. */
  readonly digest?: Digest | undefined;
  readonly result: PullResult;
  /** Whether the tag is held: served otherwise than its registry says, or refused for that. */
  readonly isHeld?: boolean | undefined;
  /** Why it was no hit, or why it was refused. */
  readonly reason?: string | undefined;
  /** Of the body that was sent. */
  readonly bytes: number;
}
