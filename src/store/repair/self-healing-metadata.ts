import type { MetadataStore } from "../metadata-store.ts";
import { isDamage } from "../sql/sqlite-file.ts";

/**
 * The least time between two replacements, in milliseconds. If the database is damaged again sooner,
 * the disk is broken, and replacing it would not help.
 */
const REPLACE_INTERVAL = 60_000;

/** The parts of a metadata store whose members are all methods that return a promise. */
type Part = "tags" | "links" | "blobs" | "listings" | "access" | "pins";

/**
 * A `MetadataStore` that replaces a damaged database while it is in use. The call that found the damage
 * is repeated on the replacement, which is empty at first.
 */
export class SelfHealingMetadata implements MetadataStore {
  readonly tags = this.#forward("tags");
  readonly links = this.#forward("links");
  readonly blobs = this.#forward("blobs");
  readonly listings = this.#forward("listings");
  readonly access = this.#forward("access");
  readonly pins = this.#forward("pins");
  #current: MetadataStore;
  readonly #replace: (damaged: MetadataStore, reason: string) => Promise<MetadataStore>;
  #replacing: Promise<void> | undefined;
  #replacedAt = -Infinity;
  /** The sum of the revisions of the stores before the current one. */
  #pastRevisions = 0;

  /** @param replace closes the damaged store, and opens one in its place */
  constructor(
    metadata: MetadataStore,
    replace: (damaged: MetadataStore, reason: string) => Promise<MetadataStore>,
  ) {
    this.#current = metadata;
    this.#replace = replace;
  }

  get revision(): number {
    return this.#pastRevisions + this.#current.revision;
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
    const metadata = this.#current;
    try {
      return await call(metadata);
    } catch (error) {
      if (metadata === this.#current) await this.#heal(metadata, error);
      // A call that failed because its store was just being closed succeeds on the new one.
      if (metadata === this.#current) throw error;
      return call(this.#current);
    }
  }

  async #heal(damaged: MetadataStore, error: unknown): Promise<void> {
    if (!this.#replacing) {
      if (!isDamage(error) || performance.now() - this.#replacedAt < REPLACE_INTERVAL) return;
    }
    const reason = error instanceof Error ? error.message : String(error);
    this.#replacing ??= this.#swap(damaged, reason).finally(() => {
      this.#replacing = undefined;
    });
    await this.#replacing;
  }

  async #swap(damaged: MetadataStore, reason: string): Promise<void> {
    this.#replacedAt = performance.now();
    const replacement = await this.#replace(damaged, reason);
    this.#pastRevisions += damaged.revision + 1;
    this.#current = replacement;
  }
}

function methodOf(part: object, key: PropertyKey): Function | undefined {
  const member: unknown = Reflect.get(part, key);
  return typeof member === "function" ? member : undefined;
}

async function callMethod(part: object, key: PropertyKey, parameters: unknown[]): Promise<unknown> {
  const method = methodOf(part, key);
  if (!method) throw new TypeError(`the metadata store has no method ${String(key)}`);
  return Reflect.apply(method, part, parameters);
}
