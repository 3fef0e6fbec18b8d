import type { Certificate } from "../test/harness/services/certificates.ts";
import type { TempDir } from "../test/harness/temp-dir.ts";
import type { BenchBlobs } from "./upstream.ts";

/** How to start one of the compared systems. */
export interface StartOptions {
  /** The URL of the registry to cache; nginx-static does not use it. */
  readonly upstream: string;
  /** Its storage folder, which is kept from one start to the next. */
  readonly data: string;
  readonly scratch: TempDir;
  readonly blobs: BenchBlobs;
  /** Serve HTTPS with this certificate. */
  readonly tls?: Certificate | undefined;
  /** Entrepot's `storage.maxSize` in bytes; its default if not given. */
  readonly maxSize?: number;
  /** Entrepot's `cluster`. */
  readonly cluster?: object;
}
