import type { AccessKeys } from "../../upstream/cloud/aws/access-keys.ts";
import {
  assumeRole,
  type TemporaryKeys,
  type WebIdentity,
} from "../../upstream/cloud/aws/assume-role.ts";
import type { CloudConnection } from "../../upstream/cloud/cloud-request.ts";
import { type AccessKeySource, credentialsFor, isSame } from "./access-keys.ts";

/** How long before their end keys are replaced, in milliseconds. */
const AHEAD_MS = 5 * 60_000;
/** After a failure, keys that are still valid are used for so long before the next try, in milliseconds. */
const PAUSE_MS = 10_000;

/**
 * Temporary keys for the token of a Kubernetes service account (`AssumeRoleWithWebIdentity` of AWS STS, which
 * Amazon EKS calls "IAM roles for service accounts"). New ones are fetched before the old ones end.
 */
export class WebIdentityKeys implements AccessKeySource {
  readonly #store: string;
  readonly #identity: WebIdentity & CloudConnection;
  readonly #now: () => number;
  #session: TemporaryKeys | undefined;
  #fetching: Promise<TemporaryKeys> | undefined;
  #nextTryAt = 0;

  /**
   * @param store its name, for messages
   * @param now in milliseconds of the epoch
   */
  constructor(
    store: string,
    identity: WebIdentity & CloudConnection,
    now: () => number = Date.now,
  ) {
    this.#store = store;
    this.#identity = identity;
    this.#now = now;
  }

  async current(): Promise<AccessKeys> {
    const session = this.#session;
    const left = session ? session.until - this.#now() : 0;
    if (!session || left <= 0) return (await this.#fetch()).keys;
    if (left < AHEAD_MS && this.#now() >= this.#nextTryAt) {
      this.#nextTryAt = this.#now() + PAUSE_MS;
      // Those that are valid serve meanwhile; a failure is told once there are none.
      void this.#fetch().catch(() => {});
    }
    return session.keys;
  }

  async renewed(refused: AccessKeys): Promise<AccessKeys | undefined> {
    const known = this.#session;
    if (known && !isSame(known.keys, refused)) return known.keys;
    const { keys } = await this.#fetch();
    return isSame(keys, refused) ? undefined : keys;
  }

  #fetch(): Promise<TemporaryKeys> {
    this.#fetching ??= this.#assumeRole().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #assumeRole(): Promise<TemporaryKeys> {
    const session = await credentialsFor(this.#store, () =>
      assumeRole(this.#identity, this.#identity),
    );
    this.#session = session;
    return session;
  }
}
