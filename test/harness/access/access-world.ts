import { bytesOf } from "../images/content.ts";
import { type Image, textImage } from "../images/images.ts";
import {
  type PrivateRegistry,
  type PrivateRegistryOptions,
  startPrivateRegistry,
} from "../registries/private-registry.ts";

export interface WorldOptions extends PrivateRegistryOptions {
  readonly users: number;
  readonly repositories: number;
  readonly random: () => number;
}

/** From when until when somebody could pull something; the end is open while it lasts. */
interface Span {
  readonly from: number;
  until: number;
}

/** Everybody, in the place of a user. */
const ANYBODY = "*";

/** What a registry shows to whom, and has shown before: what a cache in front of it may show. */
export class AccessWorld implements AsyncDisposable {
  readonly users: readonly string[];
  readonly repositories: readonly string[];
  readonly registry: PrivateRegistry;
  readonly #images = new Map<string, Image>();
  readonly #spans = new Map<string, Span[]>();
  /** When it last failed, or was slow, by the clock of `performance.now()`. */
  #failedUntil = -Infinity;
  #startedAt = Infinity;

  private constructor(registry: PrivateRegistry, { users, repositories }: WorldOptions) {
    this.registry = registry;
    this.users = Array.from({ length: users }, (_, at) => `user${at}`);
    this.repositories = Array.from({ length: repositories }, (_, at) => `team${at % 4}/app${at}`);
  }

  static async start(options: WorldOptions): Promise<AccessWorld> {
    const world = new AccessWorld(await startPrivateRegistry(options), options);
    const { random } = options;
    for (const user of world.users) world.registry.grant(user);
    for (const [at, repository] of world.repositories.entries()) {
      // Every third image is in two repositories.
      const text = `secret of ${world.repositories[at % 3 === 2 ? at - 1 : at]}`;
      const image = textImage({ text });
      world.#images.set(repository, image);
      world.registry.upstream.add(repository, image, "1", "2", "3");
      if (random() < 0.1) world.publish(repository);
      for (const user of world.users) if (random() < 0.3) world.grant(user, repository);
    }
    world.#startedAt = performance.now();
    return world;
  }

  image(repository: string): Image {
    const image = this.#images.get(repository);
    if (!image) throw new Error(`there is no ${repository}`);
    return image;
  }

  /** The bytes of a digest in a repository; `undefined` if it has no such thing. */
  bytes(repository: string, digest: string): Uint8Array | undefined {
    const { manifest, blobs } = this.image(repository);
    const content = [manifest, ...blobs].find((one) => one.digest === digest);
    return content && bytesOf(content);
  }

  grant(user: string, repository: string): void {
    this.registry.grant(user, repository);
    this.#begin(`${user} ${repository}`);
  }

  revoke(user: string, repository: string): void {
    this.registry.revoke(user, repository);
    this.#end(`${user} ${repository}`);
  }

  publish(repository: string, isPublic = true): void {
    this.registry.publish(repository, isPublic);
    if (isPublic) this.#begin(`${ANYBODY} ${repository}`);
    else this.#end(`${ANYBODY} ${repository}`);
  }

  /** Has it fail, or answer late, until the next call; without an argument, no more. */
  fails(rule?: Parameters<PrivateRegistry["fails"]>[0]): void {
    this.registry.fails(rule);
    this.#failedUntil = rule ? Infinity : performance.now();
  }

  /** Whether it has failed since a moment. */
  hasFailedSince(moment: number): boolean {
    return this.#failedUntil >= moment;
  }

  /** Whether a user, or anybody, could pull from a repository at some moment since `from`. */
  couldPull(user: string | undefined, repository: string, from: number): boolean {
    return (
      user !== undefined && this.#spansOf(`${user} ${repository}`).some((it) => it.until >= from)
    );
  }

  wasPublic(repository: string): boolean {
    return this.#spansOf(`${ANYBODY} ${repository}`).length > 0;
  }

  /** Whether anybody could from the start: a cache believes for ten minutes what a registry says of that. */
  isAlwaysPublic(repository: string): boolean {
    return this.canPullSince(ANYBODY, repository, this.#startedAt);
  }

  /** Whether a user could pull from a repository at every moment since `from`. */
  canPullSince(user: string | undefined, repository: string, from: number): boolean {
    const last = this.#spansOf(`${user} ${repository}`).at(-1);
    return last !== undefined && last.until === Infinity && last.from <= from;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
  }

  #spansOf(key: string): readonly Span[] {
    return this.#spans.get(key) ?? [];
  }

  #begin(key: string): void {
    const spans = this.#spans.get(key) ?? [];
    this.#spans.set(key, spans);
    if (spans.at(-1)?.until === Infinity) return;
    spans.push({ from: performance.now(), until: Infinity });
  }

  #end(key: string): void {
    const last = this.#spans.get(key)?.at(-1);
    if (last?.until === Infinity) last.until = performance.now();
  }
}
