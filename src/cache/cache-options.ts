import type { Digest } from "../oci/digest.ts";
import type { Fault } from "../oci/fault.ts";
import type { UpstreamName } from "../oci/names.ts";
import type { MemoryPlan } from "../process/memory-plan.ts";
import type { BlobStore, StoredBlob } from "../store/blob-store.ts";
import type { DiskTimes } from "../store/disk-times.ts";
import type { SidecarFiles } from "../store/sidecars/sidecar-files.ts";
import type { Tracer } from "../telemetry/tracing/tracer.ts";
import type { NearSources } from "./fetch/near-sources.ts";
import type { FillEvent } from "./fill/fills.ts";
import type { ImageNews } from "./held/image-news.ts";
import type { ManifestNews } from "./lookup/manifest-news.ts";
import type { StoredPullMetadata } from "./lookup/pull-metadata.ts";
import type { TagNews } from "./lookup/tag-news.ts";
import type { TagChanges } from "./lookup/tag-records.ts";
import type { QuotaEvents } from "./quota-events.ts";
import type { OnSwitched } from "./siblings/usefulness.ts";
import type { HoldObserver } from "./tag-policy/hold-observer.ts";
import type { TagPolicy } from "./tag-policy/tag-policy.ts";

export interface CacheOptions {
  readonly store: BlobStore;
  readonly metadata: StoredPullMetadata;
  /** Absent if the metadata database need not survive damage: it is rebuilt from these files. */
  readonly sidecars?: SidecarFiles;
  /** Resolves once the metadata database has what these files say; `undefined` if it has. */
  readonly restoring?: (() => Promise<void> | undefined) | undefined;
  readonly quotaEvents?: QuotaEvents;
  readonly observer: CacheObserver;
  /** Quarantines a blob that was read and found corrupt, with its record and its space. Never rejects. */
  readonly quarantine?: (digest: Digest) => Promise<unknown>;
  /** Called with the digest of every blob that was served from the store: feeds the LRU order. */
  readonly recordAccess?: (digest: Digest) => void;
  /** Whether the store has room for so many bytes of an upstream without evicting anything; by default, it has. */
  readonly hasRoomFor?: (upstream: UpstreamName, bytes: number) => boolean;
  /** What is asked for missing content before its upstream; by default, nothing is. */
  readonly near?: NearSources;
  /** Called with each blob and manifest that an upstream has sent, once it is stored and recorded. */
  readonly onFetched?: (blob: Pick<StoredBlob, "digest" | "size">) => void;
  /** Measures the writing of metadata. */
  readonly times?: DiskTimes;
  /** How much of manifests and lists stays in memory, and how many blobs are downloaded or stored at once. */
  readonly memory?: Pick<MemoryPlan, "manifests" | "lists" | "downloads">;
  /** What other replicas know of tags, and hear of manifests; absent if there are none. */
  readonly tagNews?: TagNews | undefined;
  readonly manifestNews?: ManifestNews | undefined;
  readonly imageNews?: ImageNews | undefined;
  /** Who is told where tags point; absent: nobody. */
  readonly tagChanges?: TagChanges | undefined;
  /** Which of the digests that tags have had are served; absent: what their registries say. */
  readonly tagPolicy?: TagPolicy | undefined;
  /** Absent: nobody is told what is held back. */
  readonly holdObserver?: HoldObserver | undefined;
  /** Absent: downloads are not traced. */
  readonly tracer?: Tracer | undefined;
  /** Whether some may see a part of an upstream alone; by default, all see all of it. */
  readonly isDivided?: (upstream: UpstreamName) => boolean;
  /** The current time, in milliseconds since the epoch. */
  readonly now?: () => number;
}

export interface CacheObserver {
  fillEnded(event: FillEvent): void;
  /** A manifest was served, but could not be stored. */
  manifestNotStored(digest: Digest, fault: Fault): void;
  /** A metadata write failed. The upstream is asked again when the record is needed. */
  metadataNotWritten(fault: Fault): void;
  /** A metadata read failed. What it would have told counts as unknown. */
  metadataNotRead(fault: Fault): void;
  /** Downloading layers before clients ask for them switched itself off, since few were asked for, or on again. */
  readonly prefetchSwitched: OnSwitched;
}
