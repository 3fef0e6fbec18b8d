import type { Digest } from "../../oci/digest.ts";
import type { Watched } from "../../store/directory/directory-watch.ts";
import type { Rebuilt, Restored } from "../../store/repair/rebuild-metadata.ts";
import type { Reconciled } from "../../store/repair/reconcile.ts";
import type { ScrubProgress } from "../../store/repair/scrub.ts";

/** What the background maintenance of the store tells. */
export interface HousekeepingEvents {
  /** The metadata was rebuilt from the sidecar files. */
  rebuilt(rebuilt: Rebuilt): void;
  /** Metadata and files were compared, and the metadata corrected. */
  reconciled(reconciled: Reconciled): void;
  /** Files or folders of the open data directory vanished, and were made again. */
  vanished(names: readonly Watched[]): void;
  /** Lost tags and links of stored blobs were restored from the sidecar files. */
  restored(restored: Restored): void;
  /** A scrub has verified this many more bytes. */
  scrubbed(bytes: number): void;
  /** A scrub has read every blob once. */
  scrubEnded(scrubbed: ScrubProgress): void;
  /** A corrupt blob was found and moved to the quarantine. */
  corrupt(digest: Digest): void;
  /** Background work failed. It is retried. */
  failed(task: string, error: unknown): void;
}
