import type { BlobWriter, StoredBlob } from "../../store/blob-store.ts";
import type { Extent } from "../../store/extents.ts";
import type { BackOffOptions } from "../fetch/back-off.ts";
import type { NearSources } from "../fetch/near-sources.ts";
import type { LineShare } from "../fetch/segments/line-share.ts";
import type { Source } from "../fetch/source.ts";
import type { Yielding } from "../fetch/yielding.ts";
import type { FillMemory } from "./fill-memory.ts";

export interface FillOptions {
  /** Of the blob in bytes, if a manifest names it. */
  readonly size?: number | undefined;
  readonly backOff?: BackOffOptions;
  /** Of all fills; by default, its own. */
  readonly memory?: FillMemory;
  /** By which large blobs are downloaded over several connections. */
  readonly share?: LineShare;
  /** What the client wants for which it begins, if that is a part. */
  readonly part?: Extent | undefined;
  /** What is asked before its source, once each. */
  readonly near?: readonly Source[];
  /** Set if no client has asked for the blob yet. */
  readonly yielding?: Yielding | undefined;
  /** Commits a verified writer, or discards it if the blob is stored by now. By default, it commits. */
  readonly commit?: (writer: BlobWriter) => Promise<StoredBlob>;
}

export interface FillsOptions {
  readonly downloads?: number | undefined;
  /** What is asked before the upstream; by default, nothing is. */
  readonly near?: NearSources;
  /** Called when a client asks for a blob that is not stored. */
  readonly onDemand?: () => void;
}
