import { type ProxyRule, proxyFor } from "../../config/parsing/proxy.ts";
import { tlsOptions } from "../../upstream/transport/tls-options.ts";
import { SharedStoreError } from "../shared-store/shared-store-error.ts";
import { type AccessKeys, type AccessKeySource, isSame, readSecretLine } from "./access-keys.ts";
import { errorCodeOf } from "./response-problem.ts";
import { readText } from "./read-text.ts";
import { textOf } from "./xml.ts";

/** How long before their end keys are replaced, in milliseconds. */
const AHEAD_MS = 5 * 60_000;
/** After a failure, keys that are still valid are used for so long before the next try, in milliseconds. */
const PAUSE_MS = 10_000;
const TIMEOUT_MS = 10_000;
const MAX_RESPONSE_BYTES = 64 * 1024;

export interface WebIdentity {
  /** The token's file, which whoever issues it replaces. */
  readonly tokenFile: string;
  readonly roleArn: string;
  /** The address of STS. */
  readonly stsUrl: URL;
  readonly ca?: string | undefined;
  readonly proxy?: ProxyRule | undefined;
}

/** Keys, and until when they are valid, in milliseconds of the epoch. */
interface Session {
  readonly keys: AccessKeys;
  readonly until: number;
}

/**
 * Temporary keys for the token of a Kubernetes service account (`AssumeRoleWithWebIdentity` of AWS STS, which
 * Amazon EKS calls "IAM roles for service accounts"). New ones are fetched before the old ones end.
 */
export class WebIdentityKeys implements AccessKeySource {
  readonly #store: string;
  readonly #identity: WebIdentity;
  readonly #now: () => number;
  #session: Session | undefined;
  #fetching: Promise<Session> | undefined;
  #nextTryAt = 0;

  /**
   * @param store its name, for messages
   * @param now in milliseconds of the epoch
   */
  constructor(store: string, identity: WebIdentity, now: () => number = Date.now) {
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

  #fetch(): Promise<Session> {
    this.#fetching ??= this.#assumeRole().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #assumeRole(): Promise<Session> {
    const { tokenFile, roleArn, stsUrl, ca, proxy } = this.#identity;
    const token = await readSecretLine(this.#store, tokenFile);
    const through = proxyFor(proxy, stsUrl);
    let status: number;
    let text: string;
    try {
      const response = await fetch(stsUrl, {
        method: "POST",
        headers: { accept: "application/xml", "user-agent": "entrepot" },
        body: new URLSearchParams({
          Action: "AssumeRoleWithWebIdentity",
          Version: "2011-06-15",
          RoleArn: roleArn,
          RoleSessionName: "entrepot",
          WebIdentityToken: token,
        }),
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
        tls: tlsOptions(ca, undefined).tls,
        ...(through ? { proxy: through.href } : {}),
      });
      status = response.status;
      text = await readText(response.body, MAX_RESPONSE_BYTES);
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
      throw this.#failed(`${stsUrl.host} does not answer (${code || "timeout"})`, cause);
    }
    const until = Date.parse(textOf(text, "Expiration") ?? "");
    const accessKeyId = textOf(text, "AccessKeyId");
    const secretAccessKey = textOf(text, "SecretAccessKey");
    const sessionToken = textOf(text, "SessionToken");
    if (status !== 200 || !accessKeyId || !secretAccessKey || !sessionToken || !(until > 0)) {
      const code = errorCodeOf(text) || String(status);
      throw this.#failed(`${stsUrl.host} gives none for the role ${roleArn} (${code})`);
    }
    this.#session = { keys: { accessKeyId, secretAccessKey, sessionToken }, until };
    return this.#session;
  }

  #failed(reason: string, cause?: unknown): SharedStoreError {
    return new SharedStoreError(this.#store, { kind: "credentials", reason }, { cause });
  }
}
