import { isDeepStrictEqual } from "node:util";
import { decodeJwt, errors, type JWTPayload, jwtVerify } from "jose";
import { claimAt, claimText } from "../../config/access/claim-template.ts";
import type { JwtSettings, RequiredClaim } from "../../config/access/clients-settings.ts";
import { matchesAny } from "../../config/parsing/glob-pattern.ts";
import { quote } from "../../config/parsing/problems.ts";
import type { Dialer } from "../../upstream/transport/dialer.ts";
import { fetchKeys, KeysUnavailableError } from "./fetch-keys.ts";
import { KeySet } from "./key-set.ts";
import { principalProblem } from "./principal-text.ts";

/** Signatures with public keys. `none` and secrets that are shared (HS256) prove nothing. */
const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
/** How far clocks may differ, in seconds. */
const TOLERANCE = 60;

/** What a token proves. */
export type TokenAnswer =
  | { readonly kind: "principal"; readonly name: string; readonly until: number }
  | {
      readonly kind: "refused";
      readonly reason: string;
      /** Whether it is not the client that is wrong: the keys cannot be fetched. */
      readonly isUnknown?: true;
    };

export interface JwtIssuersOptions {
  readonly dialer: Pick<Dialer, "dial">;
  readonly now: () => number;
  readonly onProblem?: (issuer: string, reason: string) => void;
}

interface Issuer {
  readonly settings: JwtSettings;
  readonly keys: KeySet;
}

/** The issuers of JSON Web Tokens that are trusted. */
export class JwtIssuers {
  readonly #options: JwtIssuersOptions;
  #issuers: readonly Issuer[] = [];

  constructor(options: JwtIssuersOptions) {
    this.#options = options;
  }

  configure(all: readonly JwtSettings[]): void {
    const { dialer, now, onProblem } = this.#options;
    const before = this.#issuers;
    this.#issuers = all.map((settings) => {
      const fetch = () => fetchKeys(settings, dialer);
      const same = before.find((issuer) => hasSameKeys(issuer.settings, settings));
      const keys =
        same?.keys ??
        new KeySet({ fetch, now, onProblem: (reason) => onProblem?.(settings.name, reason) });
      return { settings, keys };
    });
  }

  /** Whether a text may be a token, and not a password. */
  areMeant(text: string): boolean {
    return this.#issuers.length > 0 && /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(text);
  }

  async check(token: string): Promise<TokenAnswer> {
    let issuer: string | undefined;
    try {
      ({ iss: issuer } = decodeJwt(token));
    } catch {
      return refused("it is not a JSON Web Token");
    }
    // It is believed to be of this issuer only once its signature is verified.
    const candidates = this.#issuers.filter(({ settings }) => settings.issuer === issuer);
    let first: TokenAnswer | undefined;
    for (const candidate of candidates) {
      // oxlint-disable-next-line no-await-in-loop -- the first one that accepts it decides
      const answer = await this.#checkBy(candidate, token);
      if (answer.kind === "principal") return answer;
      first ??= answer;
    }
    return first ?? refused(`its issuer ${quote(issuer ?? "")} is none that is configured`);
  }

  async #checkBy({ settings, keys }: Issuer, token: string): Promise<TokenAnswer> {
    const { name, issuer, audiences, principal, claims } = settings;
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, (header, jws) => keys.find(header, jws), {
        issuer,
        audience: [...audiences],
        algorithms: ALGORITHMS,
        clockTolerance: TOLERANCE,
        requiredClaims: ["exp"],
        currentDate: new Date(this.#options.now()),
      }));
    } catch (error) {
      if (error instanceof KeysUnavailableError) {
        return {
          ...refused(`the keys of ${name} are not known: ${error.message}`),
          isUnknown: true,
        };
      }
      return refused(`${name}: ${reasonOf(error)}`);
    }
    const missing = claims.find((claim) => !holds(claim, payload));
    if (missing) {
      return refused(`${name}: its claim ${quote(missing.claim)} is none of those that are wanted`);
    }
    const rendered = principal.render(payload);
    if ("problem" in rendered) return refused(`${name}: it ${rendered.problem}`);
    const problem = principalProblem(rendered.text);
    if (problem !== undefined) return refused(`${name}: its principal ${problem}`);
    return {
      kind: "principal",
      name: `${name}:${rendered.text}`,
      // It is a number, and there, since it was required.
      until: ((payload.exp ?? 0) + TOLERANCE) * 1000,
    };
  }
}

function hasSameKeys(one: JwtSettings, other: JwtSettings): boolean {
  const keysOf = ({ name, issuer, source, ca, proxy, tokenFile, allowPrivate }: JwtSettings) => ({
    name,
    issuer,
    source,
    ca,
    proxy,
    tokenFile,
    allowPrivate,
  });
  return isDeepStrictEqual(keysOf(one), keysOf(other));
}

function holds({ claim, values }: RequiredClaim, payload: JWTPayload): boolean {
  const value = claimAt(payload, claim);
  return [value].flat().some((one) => {
    const text = claimText(one);
    return text !== undefined && matchesAny(values, text);
  });
}

function refused(reason: string) {
  return { kind: "refused", reason } as const;
}

/** Without anything of the token: it is for the log. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "it has expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    const claim = quote(error.claim);
    if (error.claim === "nbf" && error.reason === "check_failed") {
      return "it is not valid yet: compare the clocks";
    }
    return error.reason === "missing"
      ? `it has no claim ${claim}`
      : `its claim ${claim} is another one`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return "its algorithm (alg) is none with a public key";
  }
  if (error instanceof errors.JWKSNoMatchingKey) return "no key of the issuer is that of its kid";
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return "it has no kid, and the issuer has several keys";
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return "its signature is wrong";
  return "it is not a valid token";
}
