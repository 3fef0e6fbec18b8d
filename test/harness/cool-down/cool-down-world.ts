import { type Entrepot, localUpstream, startEntrepot } from "../cache/entrepot.ts";
import { textImage, type Image } from "../images/images.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "../registries/scripted-upstream.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";
import { FakedClock } from "./faked-clock.ts";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export interface CoolDownOptions {
  /** `policies` of entrepot.yaml. */
  readonly policies?: readonly object[];
  /** The name of the upstream; default: `reg.test`. */
  readonly name?: string;
  /** Its settings beside its address. */
  readonly upstream?: object;
  /** Other upstreams, given the address of this one; and other settings. */
  readonly upstreams?: (url: string) => object;
  readonly config?: object;
}

/** What a client sees of a manifest. */
export interface Seen {
  readonly status: number;
  /** `undefined` where none is told. */
  readonly digest: string | undefined;
  readonly warning: string | undefined;
  readonly cacheStatus: string | undefined;
}

/** A cache as a real process, in front of a registry whose tags move, under a clock of the test's. */
export class CoolDownWorld implements AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly clock: FakedClock;
  readonly #dir: TempDir;
  #options: CoolDownOptions;
  #cache: Entrepot;

  private constructor(
    parts: Pick<CoolDownWorld, "upstream" | "clock">,
    dir: TempDir,
    options: CoolDownOptions,
    cache: Entrepot,
  ) {
    this.upstream = parts.upstream;
    this.clock = parts.clock;
    this.#dir = dir;
    this.#options = options;
    this.#cache = cache;
  }

  static async start(options: CoolDownOptions = {}): Promise<CoolDownWorld> {
    const parts = { upstream: await startScriptedUpstream(), clock: await FakedClock.start() };
    const dir = await tempDir("cool-down");
    const cache = await startCache(parts, dir, options);
    return new CoolDownWorld(parts, dir, options, cache);
  }

  get cache(): Entrepot {
    return this.#cache;
  }

  /** The name of the upstream. */
  get name(): string {
    return this.#options.name ?? "reg.test";
  }

  /** The folder with the data of the cache. */
  get data(): string {
    return this.#dir.file("data");
  }

  /** Has a tag point to an image with this text from now on. */
  move(repository: string, tag: string, text: string): Image {
    const image = textImage({ text });
    this.upstream.add(repository, image, tag);
    return image;
  }

  /** Stops the cache, does something to its data, and starts it again. */
  async restart(between: () => Promise<void> | void = () => {}): Promise<void> {
    await this.#cache[Symbol.asyncDispose]();
    await between();
    this.#cache = await startCache(this, this.#dir, this.#options);
  }

  /** Changes `policies` in the file of the running cache; that they hold is for the test to see. */
  async govern(policies: readonly object[]): Promise<void> {
    this.#options = { ...this.#options, policies };
    await this.#cache.reconfigure(configOf(this.upstream, this.#options));
  }

  async ask(
    path: string,
    { method = "GET", headers = {} }: { method?: string; headers?: Record<string, string> } = {},
  ): Promise<Seen> {
    const response = await this.#cache.get(`/v2/${path}?ns=${this.name}`, { method, headers });
    await response.bytes();
    return seenOf(response);
  }

  /** What a tag is, by HEAD and GET, which have to say the same. */
  async tag(repository: string, tag: string): Promise<Seen> {
    const head = await this.ask(`${repository}/manifests/${tag}`, { method: "HEAD" });
    const get = await this.ask(`${repository}/manifests/${tag}`);
    // Why its registry did not say anything is another reason each time.
    const told = ({ status, digest, warning }: Seen): object => {
      return { status, digest, warning: warning?.replace(/(Response is stale): .*/, "$1") };
    };
    if (!Bun.deepEquals(told(head), told(get)))
      throw new Error(`HEAD and GET differ: ${JSON.stringify([head, get])}`);
    return get;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cache[Symbol.asyncDispose]();
    await Promise.all(
      [this.upstream, this.clock, this.#dir].map((it) => it[Symbol.asyncDispose]()),
    );
  }
}

function seenOf({ status, headers }: Response): Seen {
  return {
    status,
    digest: headers.get("docker-content-digest") ?? undefined,
    warning: headers.get("warning") ?? undefined,
    cacheStatus: headers.get("cache-status") ?? undefined,
  };
}

function startCache(
  { upstream, clock }: Pick<CoolDownWorld, "upstream" | "clock">,
  dir: TempDir,
  options: CoolDownOptions,
): Promise<Entrepot> {
  const config = configOf(upstream, options);
  return startEntrepot({ config, data: dir.file("data"), env: clock.env });
}

function configOf(
  { url }: ScriptedUpstream,
  {
    policies = [],
    name = "reg.test",
    upstream = {},
    upstreams = () => ({}),
    config,
  }: CoolDownOptions,
): object {
  return {
    storage: { scrub: 0 },
    ...config,
    upstreams: { [name]: { ...localUpstream(url), ...upstream }, ...upstreams(url) },
    policies,
  };
}
