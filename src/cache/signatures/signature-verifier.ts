import { LRUCache } from "lru-cache";
import type { VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { UpstreamName } from "../../oci/names.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { VerificationRecord, VerificationStore } from "../../store/verification-store.ts";
import type { Verifier } from "../tag-policy/verifier.ts";
import type { Upstream } from "../upstream.ts";
import { withTimeout } from "../with-timeout.ts";
import { look } from "./look.ts";
import {
  type ArtifactListing,
  type ArtifactLookups,
  listArtifacts,
} from "./signature-artifacts.ts";
import { loadSigstore } from "./sigstore.ts";
import { NO_TRUST, type TrustRoots } from "./trust-roots.ts";
import { Wanted } from "./wanted.ts";

/** How long a pull waits for what is looked for, in milliseconds; it is recorded for the next one. */
const PATIENCE_MS = 10_000;
/** When something that fails is looked at again, whatever the registry lists, in milliseconds. */
const FAILED_FOR_MS = 10 * 60_000;
/** How often the registry is asked whether there are new signatures of something that fails, in milliseconds. */
const LISTED_FOR_MS = 5000;
/** After how long a look that finds nothing out has been a slow one, in milliseconds. */
const SLOW_MS = 1000;
/** For how long nobody waits again after a slow one: the next look goes on behind, in milliseconds. */
const SLOW_FOR_MS = 60_000;
const MAX_REMEMBERED = 10_000;

export interface SignatureVerifierOptions {
  readonly lookups: ArtifactLookups;
  readonly records: Pick<VerificationStore, "get" | "find" | "put">;
  readonly trustRoots: Pick<TrustRoots, "of" | "fetchedAt">;
  readonly upstreamOf: (name: UpstreamName) => Upstream | undefined;
  /** Called with each verdict that is new. */
  readonly onVerified?: ((image: VerifiedImage) => void) | undefined;
  /** Called with why it cannot be found out how an image is signed. */
  readonly onUnverifiable?:
    ((repo: RepositoryRef, digest: Digest, why: string) => void) | undefined;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/** What is asked about. */
interface Image {
  readonly repo: RepositoryRef;
  readonly digest: Digest;
  readonly rule: VerifyRule;
}

export type VerifiedImage = VerificationRecord & Image;

interface Listed {
  readonly fingerprint: string;
  readonly at: number;
}

/** Verifies the signatures of images with the libraries of the sigstore project, once for each digest and rule. */
export class SignatureVerifier implements Verifier {
  readonly #options: SignatureVerifierOptions;
  readonly #now: () => number;
  /** For looks under way: once it is over, nobody waits for them any more. */
  readonly #waits = new Map<string, Promise<VerificationRecord | undefined>>();
  /** When a look ended that was slow, and found nothing out, on the monotonic clock. */
  readonly #slow = new LRUCache<string, number>(growingTo(MAX_REMEMBERED));
  readonly #known = new LRUCache<string, VerificationRecord>(growingTo(MAX_REMEMBERED));
  readonly #recording = new Set<Promise<void>>();
  #needsPublicTrust = false;
  /** What the registry listed when something failed. */
  readonly #listed = new LRUCache<string, Listed>(growingTo(MAX_REMEMBERED));

  constructor(options: SignatureVerifierOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Resolves once all verdicts by now are recorded, or could not be. */
  async recorded(): Promise<void> {
    await Promise.all(this.#recording);
  }

  /** Nobody waits for it. What cannot be recorded holds for as long as this process remembers it. */
  #record(put: Promise<void>): void {
    const recording = put
      .catch(() => {})
      .finally(() => {
        this.#recording.delete(recording);
      });
    this.#recording.add(recording);
  }

  /**
   * When the trust root of sigstore's public instance was fetched, in milliseconds of the epoch: 0 if it never was,
   * absent if no rule needs it.
   */
  get publicTrustFetchedAt(): number | undefined {
    return this.#needsPublicTrust ? (this.#options.trustRoots.fetchedAt ?? 0) : undefined;
  }

  /**
   * Loads what these rules need, so that the first pull need not wait for it, and fetches it again once it is old.
   * What fails is tried again with the next call, or pull.
   */
  prepare(rules: readonly VerifyRule[]): void {
    const asking = rules.filter(({ mode }) => mode !== "off");
    this.#needsPublicTrust = asking.some((rule) => needsTrust(rule) && !rule.trustRoot);
    for (const rule of asking) {
      void loadSigstore();
      if (needsTrust(rule)) void this.#options.trustRoots.of(rule).catch(() => {});
    }
  }

  async known(
    repo: RepositoryRef,
    digest: Digest,
    rule: VerifyRule,
  ): Promise<VerificationRecord | undefined> {
    const key = keyOf(repo, digest, rule);
    const record =
      this.#known.get(key) ?? (await this.#options.records.get(repo, digest, rule.revision));
    if (record) this.#known.set(key, record);
    return record;
  }

  async verify(
    repo: RepositoryRef,
    digest: Digest,
    rule: VerifyRule,
  ): Promise<VerificationRecord | undefined> {
    const key = keyOf(repo, digest, rule);
    const record = await this.known(repo, digest, rule);
    if (record?.outcome === "passed") return record;
    const listedAt = this.#listed.get(key)?.at ?? record?.verifiedAt ?? -Infinity;
    const age = this.#now() - listedAt;
    if (record && age >= 0 && age < LISTED_FOR_MS) return record;
    const waited = this.#waits.get(key) ?? this.#start(key, { repo, digest, rule }, record);
    const isSlow = performance.now() - (this.#slow.get(key) ?? -Infinity) < SLOW_FOR_MS;
    // What failed before still does, as long as nothing else is known.
    return (isSlow ? undefined : await waited) ?? record;
  }

  #start(
    key: string,
    image: Image,
    before: VerificationRecord | undefined,
  ): Promise<VerificationRecord | undefined> {
    const from = performance.now();
    const find = (): Promise<VerificationRecord | undefined> => this.#look(key, image, before);
    const { verdicts } = this.#options.lookups;
    const looking = verdicts.run(find).finally(() => this.#waits.delete(key));
    const note = (found: VerificationRecord | undefined): void => {
      const now = performance.now();
      if (found) this.#slow.delete(key);
      else if (now - from > SLOW_MS) this.#slow.set(key, now);
    };
    looking.then(note, () => note(undefined));
    const waited = withTimeout(PATIENCE_MS, looking);
    this.#waits.set(key, waited);
    return waited;
  }

  async knownOf(
    repo: RepositoryRef,
    digests: readonly Digest[],
    rule: VerifyRule,
  ): Promise<ReadonlyMap<Digest, VerificationRecord>> {
    const found = new Map(await this.#options.records.find(repo, digests, rule.revision));
    for (const digest of digests) {
      const record = this.#known.peek(keyOf(repo, digest, rule));
      if (record) found.set(digest, record);
    }
    return found;
  }

  async #look(
    key: string,
    image: Image,
    before: VerificationRecord | undefined,
  ): Promise<VerificationRecord | undefined> {
    const { repo, digest, rule } = image;
    const { lookups, trustRoots, records } = this.#options;
    const unverifiable = (why: string): undefined => {
      this.#options.onUnverifiable?.(repo, digest, why);
    };
    const upstream = this.#options.upstreamOf(repo.upstream);
    if (!upstream) return unverifiable(`the cache has no registry ${repo.upstream}`);
    const place = { upstream, repo, digest };
    try {
      const listing = listArtifacts(lookups, place, new Wanted(rule));
      const loading = Promise.all([
        needsTrust(rule) ? trustRoots.of(rule) : NO_TRUST,
        loadSigstore(),
      ]);
      loading.catch(() => {});
      if (before) {
        const known = this.#listed.get(key)?.fingerprint;
        const isSame = known === (await this.#note(key, listing));
        const age = this.#now() - before.verifiedAt;
        // One of the future is of a clock that was ahead.
        if (isSame && age >= 0 && age < FAILED_FOR_MS) return before;
      }
      const [trust, sigstore] = await loading;
      if (!trust) return unverifiable("the trust root of sigstore cannot be fetched");
      const finding = await look({ lookups, place, rule, listing, trust, sigstore });
      if (finding.outcome === "failed") await this.#note(key, listing);
      const record: VerificationRecord = { ...finding, verifiedAt: this.#now() };
      this.#known.set(key, record);
      this.#record(records.put(repo, digest, rule.revision, record));
      this.#options.onVerified?.({ ...record, repo, digest, rule });
      return record;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return unverifiable(error.message);
    }
  }

  /** @throws Fault */
  async #note(key: string, listing: ArtifactListing): Promise<string> {
    const fingerprint = await listing.fingerprint();
    this.#listed.set(key, { fingerprint, at: this.#now() });
    return fingerprint;
  }
}

function keyOf({ upstream, repository }: RepositoryRef, digest: Digest, rule: VerifyRule): string {
  return `${rule.revision} ${upstream}/${repository}@${digest}`;
}

function needsTrust({ transparencyLog, keyless }: VerifyRule): boolean {
  return transparencyLog || keyless.length > 0;
}
