import { Fault } from "../../oci/fault.ts";
import type { MetadataStore } from "../metadata-store.ts";
import { isDamage, isRefusedWrite } from "../sql/sqlite-file.ts";

/** The least time between two attempts to open a database that could not be opened, in milliseconds. */
const REOPEN_INTERVAL = 1000;

/** The parts of a metadata store whose members are all methods that return a promise. */
type Part =
  | "tags"
  | "links"
  | "blobs"
  | "listings"
  | "access"
  | "visibility"
  | "pins"
  | "history"
  | "tagHistory"
  | "overrides"
  | "verifications";

/**
 * A `MetadataStore` that opens its database anew when that turns out to be damaged while it is in use.
 * The call that found the damage is repeated. Where the database cannot be opened, for example because
 * the disk fails for a while, each call is a `Fault` until it can. One that could be opened for reading
 * only is opened anew when something is to be written.
 */
export class SelfHealingMetadata implements MetadataStore {
  readonly tags = this.#forward("tags");
  readonly links = this.#forward("links");
  readonly blobs = this.#forward("blobs");
  readonly listings = this.#forward("listings");
  readonly access = this.#forward("access");
  readonly visibility = this.#forward("visibility");
  readonly pins = this.#forward("pins");
  readonly history = this.#forward("history");
  readonly tagHistory = this.#forward("tagHistory");
  readonly overrides = this.#forward("overrides");
  readonly verifications = this.#forward("verifications");
  #current: MetadataStore;
  readonly #reopen: Reopen;
  #reopening: Promise<void> | undefined;
  /** Why there is no open database, and when it is tried again (monotonic clock, in milliseconds). */
  #closed: { readonly fault: Fault; readonly retryAt: number } | undefined;
  /** When a store that refused a write is opened anew at the earliest (monotonic clock, in milliseconds). */
  #thawAt = -Infinity;
  /** The sum of the revisions of the stores before the current one. */
  #pastRevisions = 0;
  #onRevision: (() => void) | undefined;

  /** @param reopen is called again later, with the same store, if it rejects */
  constructor(metadata: MetadataStore, reopen: Reopen) {
    this.#current = metadata;
    this.#reopen = reopen;
  }

  get revision(): number {
    return this.#pastRevisions + this.#current.revision;
  }

  /** @param listener is called whenever `revision` may have changed, before anything else happens */
  onRevision(listener: () => void): void {
    this.#onRevision = listener;
  }

  bytes(): Promise<number> {
    return this.#run((metadata) => metadata.bytes());
  }

  shrink(): Promise<void> {
    return this.#run((metadata) => metadata.shrink());
  }

  close(): Promise<void> {
    return this.#current.close();
  }

  /**
   * Opens the database anew: its file is no longer the one that is open.
   *
   * @throws Fault of kind `storage` if the database cannot be opened
   */
  reopen(): Promise<void> {
    return this.#heal(this.#current);
  }

  /**
   * A part of the store whose methods are called on the current store, and once more on its
   * replacement. A method that is added to a port needs nothing here.
   */
  #forward<Name extends Part>(name: Name): MetadataStore[Name] {
    const forwarded = new Map<PropertyKey, unknown>();
    const get = (_: object, key: PropertyKey): unknown => {
      if (!forwarded.has(key) && methodOf(this.#current[name], key)) {
        forwarded.set(key, (...parameters: unknown[]) =>
          this.#run((metadata) => callMethod(metadata[name], key, parameters)),
        );
      }
      return forwarded.get(key);
    };
    // The proxy has every method of the part, and `Part` names those that consist of methods alone.
    return new Proxy({}, { get }) as MetadataStore[Name];
  }

  async #run<Result>(call: (metadata: MetadataStore) => Promise<Result>): Promise<Result> {
    if (this.#closed) await this.#heal(this.#current);
    const metadata = this.#current;
    try {
      const called = call(metadata);
      // A write has begun.
      this.#onRevision?.();
      return await called;
    } catch (error) {
      if (metadata === this.#current && (this.#reopening || isDamage(error))) {
        await this.#heal(metadata);
      } else if (isRefusedWrite(error)) await this.#thaw(metadata);
      // A call that failed because its store was just being closed succeeds on the new one.
      if (metadata === this.#current) throw error;
      return await call(this.#current);
    } finally {
      this.#onRevision?.();
    }
  }

  /** @throws Fault of kind `storage` if the database cannot be opened */
  async #heal(damaged: MetadataStore): Promise<void> {
    if (this.#closed && performance.now() < this.#closed.retryAt) throw this.#closed.fault;
    this.#reopening ??= this.#swap(damaged).finally(() => {
      this.#reopening = undefined;
    });
    await this.#reopening;
  }

  /** Opens the database for writing, if there is space for that by now; until then, it can be read. */
  async #thaw(frozen: MetadataStore): Promise<void> {
    if (frozen !== this.#current || this.#reopening || performance.now() < this.#thawAt) return;
    this.#thawAt = performance.now() + REOPEN_INTERVAL;
    this.#reopening = this.#openWritable(frozen).finally(() => {
      this.#reopening = undefined;
    });
    await this.#reopening;
  }

  async #openWritable(frozen: MetadataStore): Promise<void> {
    const reopened = await this.#reopen(frozen, true).catch(() => undefined);
    if (reopened && reopened !== frozen) this.#replace(frozen, reopened);
  }

  async #swap(damaged: MetadataStore): Promise<void> {
    try {
      this.#replace(damaged, await this.#reopen(damaged, false));
      this.#closed = undefined;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const fault = new Fault({ kind: "storage", reason }, { cause });
      this.#closed = { fault, retryAt: performance.now() + REOPEN_INTERVAL };
      throw fault;
    }
  }

  #replace(former: MetadataStore, reopened: MetadataStore): void {
    this.#pastRevisions += former.revision + 1;
    this.#current = reopened;
    this.#onRevision?.();
  }
}

/**
 * Closes a store, and opens its database again, or one in its place. One that is `frozen` can still be
 * read: it stays open, and is returned or the promise rejects if the database cannot be opened for writing.
 */
export type Reopen = (former: MetadataStore, isFrozen: boolean) => Promise<MetadataStore>;

function methodOf(part: object, key: PropertyKey): Function | undefined {
  const member: unknown = Reflect.get(part, key);
  return typeof member === "function" ? member : undefined;
}

async function callMethod(part: object, key: PropertyKey, parameters: unknown[]): Promise<unknown> {
  const method = methodOf(part, key);
  if (!method) throw new TypeError(`the metadata store has no method ${String(key)}`);
  return Reflect.apply(method, part, parameters);
}
