import { afterAll } from "bun:test";
import { until } from "../waiting.ts";
import { type Entrepot, startEntrepot } from "./entrepot.ts";

/** An upstream of a cache that other tests use as well. */
export interface SharedUpstream extends Disposable {
  readonly cache: Entrepot;
  readonly name: string;
  /** The path of `rest`, such as `app/manifests/1`, with its namespace. */
  readonly path: (rest: string) => string;
}

/**
 * One cache for the tests of a file that differ in their upstreams alone, and run at once: a start takes more than a second
 * of a processor, a further upstream some hundredths. Blobs are shared, so each test has contents of its own.
 *
 * To be made where `afterAll` may be called.
 */
export class SharedCache {
  readonly #upstreams = new Map<string, object>();
  #cache: Promise<Entrepot> | undefined;
  #added = 0;
  #changes: Promise<unknown> = Promise.resolve();

  constructor() {
    afterAll(async () => {
      await (await this.#cache)?.[Symbol.asyncDispose]();
    });
  }

  /** @param settings of an upstream that the cache has until disposal */
  async add(settings: object): Promise<SharedUpstream> {
    this.#added += 1;
    const name = `reg${this.#added}.test`;
    this.#upstreams.set(name, settings);
    const changed = this.#changes.then(() => this.#take(name));
    this.#changes = changed.catch(() => {});
    const cache = await changed;
    return {
      cache,
      name,
      path: (rest) => `/v2/${rest}?ns=${name}`,
      // It goes with the next change.
      [Symbol.dispose]: () => this.#upstreams.delete(name),
    };
  }

  async #take(name: string): Promise<Entrepot> {
    const config = { upstreams: Object.fromEntries(this.#upstreams) };
    this.#cache ??= startEntrepot({ config });
    const cache = await this.#cache;
    const isTaken = async (): Promise<boolean> =>
      (await (await cache.get("/entrepot/v1/namespaces")).text()).includes(`"${name}"`);
    if (await isTaken()) return cache;
    await cache.reconfigure(config);
    cache.signal("SIGHUP");
    await until(isTaken, { what: `the upstream ${name} to be taken up` });
    return cache;
  }
}
