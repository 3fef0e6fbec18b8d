import type { TrustMaterial } from "@sigstore/verify";
import type { VerifyRule } from "../../config/policies/policy-settings.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import { Accept } from "../../oci/accept.ts";
import { Fault } from "../../oci/fault.ts";
import { checkNesting } from "../../oci/json-elements.ts";
import { type CheckContext, checkEvidence } from "./check-evidence.ts";
import {
  bundleEvidence,
  envelopeEvidence,
  type Evidence,
  simpleSigningEvidence,
} from "./evidence.ts";
import { imageNames } from "./image-names.ts";
import { RefusedEvidence } from "./refused-evidence.ts";
import {
  type Artifact,
  type ArtifactLayer,
  type ArtifactListing,
  type ArtifactLookups,
  type ImagePlace,
  readLayer,
  readLayers,
} from "./signature-artifacts.ts";
import type { Sigstore } from "./sigstore.ts";
import { Wanted } from "./wanted.ts";

export interface LookOptions {
  readonly lookups: ArtifactLookups;
  readonly place: ImagePlace;
  readonly rule: VerifyRule;
  readonly listing: ArtifactListing;
  readonly trust: TrustMaterial;
  readonly sigstore: Sigstore;
}

/** What was found of an image's signatures. */
export interface Finding {
  readonly outcome: "passed" | "failed";
  /** For people: who signed it, or why it fails. */
  readonly detail: string;
  readonly loggedAt?: number;
}

const BUNDLE = "application/vnd.dev.sigstore.bundle";
const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
const ENVELOPE = "application/vnd.dsse.envelope.v1+json";
/** More than any image has: a hostile repository may have any number. */
const MAX_ARTIFACTS = 64;
/** How many layers are looked at, of all artifacts of a place together. */
const MAX_LOOKED_AT = 64;
const MAX_REASONS = 3;
const ANY = new Accept(null);

/**
 * Goes through the artifacts of an image until all that a rule asks for is found: of each place beside the others, as
 * soon as it is known what is there.
 *
 * @throws Fault if something is not found, and the registry did not give all that it may be in
 */
export async function look(options: LookOptions): Promise<Finding> {
  return new Look(options).run();
}

/** Where signatures may be, and what came of looking there. */
interface Place {
  readonly found: Promise<readonly Artifact[]>;
  readonly reasons: string[];
  artifacts: number;
  omitted: number;
  lookedAt: number;
}

class Look {
  readonly #options: LookOptions;
  readonly #context: CheckContext;
  readonly #wanted: Wanted;
  readonly #yielder = new EventLoopYielder();
  readonly #places: readonly Place[];
  readonly #done = Promise.withResolvers<void>();
  #fault: Fault | undefined;

  constructor(options: LookOptions) {
    const { sigstore, rule, trust, place, listing } = options;
    const { upstream, repo, digest } = place;
    this.#options = options;
    this.#wanted = new Wanted(rule);
    this.#context = { sigstore, rule, trust, digest, names: imageNames(upstream, repo) };
    this.#places = listing.places.map((found) => ({
      found,
      reasons: [],
      artifacts: 0,
      omitted: 0,
      lookedAt: 0,
    }));
  }

  async run(): Promise<Finding> {
    const looking = Promise.all(this.#places.map((place) => this.#lookAtPlace(place)));
    // What has all that is wanted need not wait for what the other places have, or for their failures.
    await Promise.race([looking, this.#done.promise]);
    const wanted = this.#wanted;
    if (!wanted.isComplete) {
      if (this.#fault) throw this.#fault;
      return { outcome: "failed", detail: this.#failure() };
    }
    const { detail, loggedAt } = wanted;
    return { outcome: "passed", detail, ...(loggedAt === undefined ? {} : { loggedAt }) };
  }

  #isDone({ lookedAt }: Place): boolean {
    return this.#wanted.isComplete || lookedAt >= MAX_LOOKED_AT;
  }

  async #lookAtPlace(place: Place): Promise<void> {
    let artifacts: readonly Artifact[] = [];
    try {
      artifacts = await place.found;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#fault = error;
    }
    place.artifacts = artifacts.length;
    place.omitted = Math.max(0, artifacts.length - MAX_ARTIFACTS);
    for (const artifact of artifacts.slice(0, MAX_ARTIFACTS)) {
      if (this.#isDone(place)) return;
      await this.#noting(artifact, place, () => this.#lookAtArtifact(artifact, place));
    }
  }

  async #lookAtArtifact(artifact: Artifact, place: Place): Promise<void> {
    const { lookups, place: image } = this.#options;
    for (const layer of await readLayers(lookups, image, artifact)) {
      if (this.#isDone(place)) return;
      place.lookedAt += 1;
      await this.#noting(artifact, place, async () => {
        const evidence = await this.#evidenceIn(layer);
        await this.#yielder.pause();
        if (this.#wanted.isComplete) return;
        this.#wanted.add(checkEvidence(evidence, this.#context));
        if (this.#wanted.isComplete) this.#done.resolve();
      });
    }
  }

  /** One that does not count says nothing of the others. */
  async #noting({ name }: Artifact, place: Place, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const isRefused = error instanceof RefusedEvidence;
      const isGone = error instanceof Fault && error.detail.kind === "not-found";
      if (isRefused || isGone) place.reasons.push(`${shorten(name)}: ${error.message}`);
      else if (error instanceof Fault) this.#fault = error;
      else throw error;
    }
  }

  async #evidenceIn(layer: ArtifactLayer): Promise<Evidence> {
    const { lookups, place } = this.#options;
    const { mediaType, annotations } = layer;
    const isBundle = mediaType.startsWith(BUNDLE);
    if (!isBundle && mediaType !== SIMPLE_SIGNING && mediaType !== ENVELOPE) {
      throw new RefusedEvidence(`its layer is of the type ${JSON.stringify(mediaType)}`);
    }
    const bytes = await readLayer(lookups, place, layer);
    if (mediaType === SIMPLE_SIGNING) return simpleSigningEvidence(bytes, annotations);
    await checkNesting(bytes.toString()).catch((cause: unknown) => {
      throw new RefusedEvidence("it is not JSON that can be read", { cause });
    });
    if (mediaType === ENVELOPE) return envelopeEvidence(bytes, annotations);
    return bundleEvidence(bytes, () => this.#image());
  }

  async #image(): Promise<Buffer<ArrayBuffer>> {
    const { lookups, place } = this.#options;
    const { upstream, repo, digest } = place;
    const { manifest } = await lookups.manifests.get(upstream, repo, digest, ANY, "judge");
    return Buffer.from(manifest.bytes);
  }

  #failure(): string {
    const places = this.#places;
    const omitted = places.reduce((sum, place) => sum + place.omitted, 0);
    const missing = this.#wanted.missing.join(" and no ");
    if (places.every(({ artifacts }) => artifacts === 0)) return `no ${missing} was found`;
    const reasons = [...new Set(places.flatMap((place) => place.reasons))];
    const others = reasons.length - MAX_REASONS;
    return [
      `no ${missing} that counts`,
      ...reasons.slice(0, MAX_REASONS),
      ...(others > 0 ? [`${others} more`] : []),
      ...(omitted > 0 ? [`${omitted} more were not looked at`] : []),
    ].join("; ");
  }
}

/** Enough of `sha256-0123….sig` or a digest to find it. */
function shorten(name: string): string {
  return name.replace(/(?<=^sha(?:256|512)[-:][0-9a-f]{12})[0-9a-f]+/, "…");
}
