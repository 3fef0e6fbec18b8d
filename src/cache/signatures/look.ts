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
/** How many layers are looked at, of all artifacts together. */
const MAX_LOOKED_AT = 64;
const MAX_REASONS = 3;
const ANY = new Accept(null);

/**
 * Goes through the artifacts of an image until all that a rule asks for is found.
 *
 * @throws Fault if something is not found, and the registry did not give all that it may be in
 */
export async function look(options: LookOptions): Promise<Finding> {
  return new Look(options).run();
}

class Look {
  readonly #options: LookOptions;
  readonly #context: CheckContext;
  readonly #wanted: Wanted;
  readonly #yielder = new EventLoopYielder();
  readonly #reasons: string[] = [];
  #fault: Fault | undefined;
  #lookedAt = 0;

  constructor(options: LookOptions) {
    const { sigstore, rule, trust, place } = options;
    const { upstream, repo, digest } = place;
    this.#options = options;
    this.#wanted = new Wanted(rule);
    this.#context = { sigstore, rule, trust, digest, names: imageNames(upstream, repo) };
  }

  async run(): Promise<Finding> {
    for (const artifact of this.#options.listing.artifacts) {
      if (this.#isDone) break;
      await this.#noting(artifact, () => this.#lookAtArtifact(artifact));
    }
    const wanted = this.#wanted;
    if (!wanted.isComplete) {
      if (this.#fault) throw this.#fault;
      return { outcome: "failed", detail: this.#failure() };
    }
    const { detail, loggedAt } = wanted;
    return { outcome: "passed", detail, ...(loggedAt === undefined ? {} : { loggedAt }) };
  }

  get #isDone(): boolean {
    return this.#wanted.isComplete || this.#lookedAt >= MAX_LOOKED_AT;
  }

  async #lookAtArtifact(artifact: Artifact): Promise<void> {
    const { lookups, place } = this.#options;
    for (const layer of await readLayers(lookups, place, artifact)) {
      if (this.#isDone) return;
      this.#lookedAt += 1;
      await this.#noting(artifact, async () => {
        const evidence = await this.#evidenceIn(layer);
        await this.#yielder.pause();
        this.#wanted.add(checkEvidence(evidence, this.#context));
      });
    }
  }

  /** One that does not count says nothing of the others. */
  async #noting({ name }: Artifact, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const isRefused = error instanceof RefusedEvidence;
      const isGone = error instanceof Fault && error.detail.kind === "not-found";
      if (isRefused || isGone) this.#reasons.push(`${shorten(name)}: ${error.message}`);
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
    const { listing } = this.#options;
    const missing = this.#wanted.missing.join(" and no ");
    if (listing.artifacts.length === 0) return `no ${missing} was found`;
    const reasons = [...new Set(this.#reasons)];
    const others = reasons.length - MAX_REASONS;
    return [
      `no ${missing} that counts`,
      ...reasons.slice(0, MAX_REASONS),
      ...(others > 0 ? [`${others} more`] : []),
      ...(listing.omitted > 0 ? [`${listing.omitted} more were not looked at`] : []),
    ].join("; ");
  }
}

/** Enough of `sha256-0123….sig` or a digest to find it. */
function shorten(name: string): string {
  return name.replace(/(?<=^sha(?:256|512)[-:][0-9a-f]{12})[0-9a-f]+/, "…");
}
