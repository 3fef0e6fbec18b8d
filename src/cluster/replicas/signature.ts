import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** How far the clocks of two replicas may be apart, in milliseconds. */
export const MAX_SKEW_MS = 5 * 60_000;
const MAX_HEADER = 256;

/** What of a request is signed. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query, as they are sent. */
  readonly target: string;
  /** The header Range; empty without one. */
  readonly range: string;
  /** Who asks: the header Entrepot-Replica. */
  readonly asker: string;
}

export type Verdict =
  | { readonly kind: "right"; readonly authorization: string }
  | { readonly kind: "unsigned" }
  /** Another secret. */
  | { readonly kind: "wrong" }
  /** Signed with the right secret, at a time that is too far from now. */
  | { readonly kind: "skewed"; readonly milliseconds: number; readonly authorization: string };

/**
 * Signs what replicas ask each other, and what they answer, with the secret that all of them share:
 *
 *     Authorization: Entrepot <milliseconds since the epoch>.<nonce>.<HMAC-SHA256>
 *     Entrepot-Proof: <HMAC-SHA256 of that and of the answer>
 *
 * So nothing that is not a replica gets an answer, or is believed. A body needs no signature: it is verified by
 * its digest. Who reads along may repeat a request for some minutes; TLS keeps others from reading along.
 */
export class Signatures {
  #secret: string;
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(secret: string, now: () => number = Date.now) {
    this.#secret = secret;
    this.#now = now;
  }

  /** From now on, replicas are to know another secret. */
  configure(secret: string): void {
    this.#secret = secret;
  }

  /** The header Authorization of a request. */
  sign(request: SignedRequest): string {
    const time = String(this.#now());
    const nonce = randomBytes(12).toString("base64url");
    return `Entrepot ${time}.${nonce}.${this.#ofRequest(request, time, nonce)}`;
  }

  verify(request: SignedRequest, authorization: string | null): Verdict {
    if (authorization === null || authorization.length > MAX_HEADER) return { kind: "unsigned" };
    const [, time, nonce, mac] =
      /^Entrepot (\d{1,15})\.([\w-]{1,32})\.([\w-]{43})$/.exec(authorization) ?? [];
    if (time === undefined || nonce === undefined || mac === undefined) return { kind: "unsigned" };
    if (!isEqual(mac, this.#ofRequest(request, time, nonce))) return { kind: "wrong" };
    const milliseconds = Number(time) - this.#now();
    const isSkewed = Math.abs(milliseconds) > MAX_SKEW_MS;
    return isSkewed
      ? { kind: "skewed", milliseconds, authorization }
      : { kind: "right", authorization };
  }

  /** The header Entrepot-Proof of an answer to a request with this header Authorization. */
  prove(authorization: string, answer: readonly (string | number)[]): string {
    return this.#hmac(["answer", authorization, ...answer]);
  }

  isProof(
    proof: string | null,
    authorization: string,
    answer: readonly (string | number)[],
  ): boolean {
    return proof !== null && isEqual(proof, this.prove(authorization, answer));
  }

  #ofRequest({ method, target, range, asker }: SignedRequest, time: string, nonce: string): string {
    return this.#hmac(["request", method, target, range, asker, time, nonce]);
  }

  #hmac(parts: readonly (string | number)[]): string {
    return createHmac("sha256", this.#secret).update(JSON.stringify(parts)).digest("base64url");
  }
}

function isEqual(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}
