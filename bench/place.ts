import type { Certificate } from "../test/harness/certificates.ts";
import type { TempDir } from "../test/harness/places.ts";
import type { Stock } from "./upstream.ts";

/** What a system that is measured is started with. */
export interface Place {
  /** The registry that it caches; nginx-static has none. */
  readonly upstream: string;
  /** Where it keeps content from one start to the next. */
  readonly data: string;
  readonly scratch: TempDir;
  readonly stock: Stock;
  /** Set for HTTPS. */
  readonly tls?: Certificate | undefined;
  /** Bytes that entrepot may keep; as it likes where nothing is said. */
  readonly maxSize?: number;
}
