import { printable } from "../../printable.ts";
import type { VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Verified } from "./check-evidence.ts";
import { COSIGN_SIGNATURE } from "./claims.ts";

/** What a rule asks for of an image, and how much of it was found. */
export class Wanted {
  readonly #signature: boolean;
  readonly #attestations: readonly string[];
  /** By predicate; a signature without one is under the empty text. */
  readonly #found = new Map<string, Verified>();

  constructor({ signature, attestations }: Pick<VerifyRule, "signature" | "attestations">) {
    this.#signature = signature;
    this.#attestations = attestations;
  }

  /** The predicates that are of interest, as artifacts are annotated with them. */
  get predicates(): ReadonlySet<string> {
    return new Set([...this.#attestations, ...(this.#signature ? [COSIGN_SIGNATURE] : [])]);
  }

  /** Of the tags in which cosign 2 puts signatures and attestations. */
  get suffixes(): readonly string[] {
    return [...(this.#signature ? ["sig"] : []), ...(this.#attestations.length > 0 ? ["att"] : [])];
  }

  add(verified: Verified): void {
    const key = verified.predicateType ?? "";
    if (!this.#found.has(key)) this.#found.set(key, verified);
  }

  /** What is not found yet, for people. */
  get missing(): string[] {
    const attestations = this.#attestations.filter((type) => !this.#found.has(type));
    const isUnsigned = this.#signature && !this.#found.has("");
    return [
      ...(isUnsigned ? ["signature"] : []),
      ...attestations.map((type) => `attestation ${type}`),
    ];
  }

  get isComplete(): boolean {
    return this.missing.length === 0;
  }

  /** Who signed it, once it is complete. */
  get detail(): string {
    const signature = this.#found.get("");
    const parts = [
      ...(this.#signature && signature ? [`signed by ${signature.signer}`] : []),
      ...this.#attestations.map(
        (type) => `attestation ${type} by ${this.#found.get(type)?.signer ?? ""}`,
      ),
    ];
    return printable(parts.join("; "));
  }

  /** When a log first had one of those that count. */
  get loggedAt(): number | undefined {
    const times = [...this.#found.values()].flatMap(({ loggedAt }) => loggedAt ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }
}
