import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import type { TrustMaterial } from "@sigstore/verify";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { VerifyRule } from "../../config/policies/policy-settings.ts";
import { encodeOnce } from "./encode-once.ts";
import { SingleFlight } from "../single-flight.ts";

/** How old the public trust root may be before it is fetched again, in milliseconds. */
const FRESH_MS = 24 * 3_600_000;
/** When it is fetched again after that failed, in milliseconds. */
const RETRY_MS = 60_000;
const TIMEOUT_MS = 5000;
const MAX_PARSED = 16;
const KEPT_FILE = "trusted_root.json";

export interface TrustRootsOptions {
  /** Where the public trust root is kept for when it cannot be fetched. */
  readonly folder: string;
  /** Where it is fetched; sigstore's public instance, if absent. */
  readonly mirror?: { readonly url: string; readonly rootFile: string } | undefined;
  /** Told when it cannot be fetched any more, and when the one that is kept is from, in milliseconds of the epoch. */
  readonly onUnfetched?: ((error: unknown, keptSince: number | undefined) => void) | undefined;
  readonly now?: () => number;
}

const keptSchema = z.object({ fetchedAt: z.number(), json: z.string() });

interface Kept {
  readonly material: TrustMaterial;
  readonly fetchedAt: number;
}

/** Which logs, certificate and timestamp authorities are believed: those of a file, or of sigstore's public instance. */
export class TrustRoots {
  readonly #options: TrustRootsOptions;
  readonly #now: () => number;
  readonly #parsed = new LRUCache<string, TrustMaterial>({ max: MAX_PARSED });
  readonly #fetches = new SingleFlight<Kept | undefined>();
  #public: Kept | undefined;
  #failedAt = -Infinity;

  constructor(options: TrustRootsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** When the public one was fetched, in milliseconds of the epoch; absent if that is not known, or it never was. */
  get fetchedAt(): number | undefined {
    return this.#public?.fetchedAt;
  }

  /** @returns undefined if the public one was never fetched, and cannot be now */
  async of(rule: VerifyRule): Promise<TrustMaterial | undefined> {
    const { trustRoot } = rule;
    if (!trustRoot) return this.#publicRoot();
    const known = this.#parsed.get(trustRoot.json);
    if (known) return known;
    const material = await parse(trustRoot.json);
    this.#parsed.set(trustRoot.json, material);
    return material;
  }

  async #publicRoot(): Promise<TrustMaterial | undefined> {
    this.#public ??= await this.#fetches.run("kept", () => this.#readKept());
    const age = this.#now() - (this.#public?.fetchedAt ?? -Infinity);
    const sinceFailure = this.#now() - this.#failedAt;
    // One of the future is of a clock that was ahead.
    const mayFetch = sinceFailure < 0 || sinceFailure >= RETRY_MS;
    if (age >= 0 && age < FRESH_MS) return this.#public?.material;
    if (mayFetch) {
      const fetching = this.#fetches.run("fetch", () => this.#fetch());
      // The one that is kept does until there is another one.
      if (!this.#public) await fetching;
    }
    return this.#public?.material;
  }

  async #fetch(): Promise<Kept | undefined> {
    try {
      const { getTrustedRoot } = await import("@sigstore/tuf");
      const { folder, mirror } = this.#options;
      await mkdir(folder, { recursive: true });
      const root = await getTrustedRoot({
        cachePath: path.join(folder, "tuf"),
        ...(mirror ? { mirrorURL: mirror.url, rootPath: mirror.rootFile } : {}),
        retry: { retries: 1, minTimeout: 100 },
        timeout: TIMEOUT_MS,
      });
      const { TrustedRoot } = await import("@sigstore/protobuf-specs");
      const json = JSON.stringify(TrustedRoot.toJSON(root));
      const fetchedAt = this.#now();
      this.#public = { material: await parse(json), fetchedAt };
      this.#failedAt = -Infinity;
      await this.#keep(JSON.stringify({ fetchedAt, json }));
    } catch (error) {
      const isFirst = this.#failedAt === -Infinity;
      this.#failedAt = this.#now();
      if (isFirst) this.#options.onUnfetched?.(error, this.#public?.fetchedAt);
    }
    return this.#public;
  }

  async #keep(text: string): Promise<void> {
    const file = path.join(this.#options.folder, KEPT_FILE);
    await writeFile(`${file}.tmp`, text, { mode: 0o640 });
    await rename(`${file}.tmp`, file);
  }

  /** What was verified before it was written, by a user whom this process believes anyway. */
  async #readKept(): Promise<Kept | undefined> {
    try {
      const text = await readFile(path.join(this.#options.folder, KEPT_FILE), "utf8");
      const kept = keptSchema.parse(JSON.parse(text));
      return { material: await parse(kept.json), fetchedAt: kept.fetchedAt };
    } catch {
      // There is none yet, or it is damaged: it is fetched.
      return undefined;
    }
  }
}

/** Of keys without a log nothing of a trust root is used. */
export const NO_TRUST: TrustMaterial = {
  certificateAuthorities: [],
  timestampAuthorities: [],
  tlogs: [],
  ctlogs: [],
  publicKey: () => {
    throw new Error("the rule has no such key");
  },
};

async function parse(json: string): Promise<TrustMaterial> {
  const [{ toTrustMaterial }, { TrustedRoot }] = await Promise.all([
    import("@sigstore/verify"),
    import("@sigstore/protobuf-specs"),
  ]);
  const material = toTrustMaterial(TrustedRoot.fromJSON(JSON.parse(json)));
  const authorities = [...material.certificateAuthorities, ...material.timestampAuthorities];
  for (const { certChain } of authorities) for (const one of certChain) encodeOnce(one);
  return material;
}
