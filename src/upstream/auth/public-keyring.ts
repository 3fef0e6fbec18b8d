import type { Credentials, UpstreamSettings } from "../../config/settings.ts";
import type { CredentialUse } from "../../oci/fault.ts";
import type { CredentialChoice, CredentialStatus, CredentialsRefused, Keyring } from "./keyring.ts";

/**
 * An upstream's own credentials, for what it shows to anybody: where content is pulled with the credentials
 * of clients, the owner may have these sent for that alone, so that its rate limits are an account's.
 */
export class PublicKeyring implements CredentialChoice {
  readonly #keyring: Keyring;

  constructor(keyring: Keyring) {
    this.#keyring = keyring;
  }

  current(upstream: UpstreamSettings): Promise<Credentials | undefined> {
    return this.#keyring.forPublic(upstream);
  }

  accepted(name: string, used: Credentials): void {
    this.#keyring.accepted(name, used);
  }

  refused(
    upstream: UpstreamSettings,
    used: Credentials,
    refusal: CredentialsRefused,
  ): Promise<Credentials | undefined> {
    return this.#keyring.refused(upstream, used, refusal);
  }

  isRefused(name: string, account?: string): boolean {
    return this.#keyring.isRefused(name, account);
  }

  status(upstream: UpstreamSettings): CredentialStatus {
    return this.#keyring.status(upstream);
  }

  use(upstream: UpstreamSettings): CredentialUse {
    return this.#keyring.use(upstream);
  }

  account(name: string): string {
    return this.#keyring.account(name);
  }
}
