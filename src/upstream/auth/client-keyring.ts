import type { Credentials, UpstreamSettings } from "../../config/settings.ts";
import { type CredentialUse, Fault } from "../../oci/fault.ts";
import {
  ANONYMOUS,
  type CredentialChoice,
  type CredentialsRefused,
  type CredentialStatus,
} from "./keyring.ts";

/** Credentials that a client of the cache has sent for one registry. */
export interface ClientCredentials extends Credentials {
  /** Names the account without revealing anything of it: rate limits are kept by it. */
  readonly account: string;
}

/**
 * A client's credentials, for requests to one registry, and to nothing else: mirrors get none. What they
 * are refused is not tried without them, since that would be an answer to another question.
 */
export class ClientKeyring implements CredentialChoice {
  readonly #upstream: UpstreamSettings;
  readonly #credentials: ClientCredentials | undefined;

  /** @param credentials absent: requests are anonymous */
  constructor(upstream: UpstreamSettings, credentials: ClientCredentials | undefined) {
    this.#upstream = upstream;
    this.#credentials = credentials;
  }

  async current({ url }: UpstreamSettings): Promise<Credentials | undefined> {
    return url.href === this.#upstream.url.href ? this.#credentials : undefined;
  }

  accepted(): void {}

  async refused(
    { name }: UpstreamSettings,
    _used: Credentials,
    { status, host }: CredentialsRefused,
  ): Promise<undefined> {
    throw new Fault({
      kind: "upstream-denied",
      upstream: name,
      name: host,
      status,
      credentials: "client",
    });
  }

  isRefused(): boolean {
    return false;
  }

  status(): CredentialStatus {
    return { state: this.#credentials ? "ok" : "none" };
  }

  use({ url }: UpstreamSettings): CredentialUse {
    return this.#credentials && url.href === this.#upstream.url.href ? "client" : "none";
  }

  account(): string {
    return this.#credentials?.account ?? ANONYMOUS;
  }
}
