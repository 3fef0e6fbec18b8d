import type { ClientAccess, Principal } from "../../../access/client-access.ts";
import type { Authorization } from "../../../access/authorization.ts";
import { viewerOf } from "../../../access/viewer.ts";
import { Fault } from "../../../oci/fault.ts";
import type { RepositoryRef } from "../../../store/metadata-store.ts";
import type { RepositoryRoute } from "../route.ts";
import type { Admitted, Asking } from "./admitted.ts";
import { unauthorized } from "./challenge.ts";
import { Presented, type PresentedOptions } from "./presented.ts";

export interface ClientRulesOptions extends PresentedOptions {
  /** The clients that this cache knows itself, and what they may pull. */
  readonly clients: ClientAccess;
}

/** Lets in whom the cache's own rules let, and nobody where there are none. */
export class ClientRules {
  readonly #options: ClientRulesOptions;
  readonly #presented: Presented;

  constructor(options: ClientRulesOptions) {
    this.#options = options;
    this.#presented = new Presented(options);
  }

  mayPull(principal: Principal, repo: RepositoryRef): boolean {
    return this.#options.clients.mayPull(principal, repo);
  }

  async admit({ upstream, repo }: RepositoryRoute, asking: Asking): Promise<Admitted> {
    const { request } = asking;
    const authorization = this.#presented.of(request);
    if (authorization.kind === "invalid") throw unauthorized(authorization.reason, request);
    const identity = await this.identify(authorization, asking);
    if (identity.kind === "anonymous") {
      const reason = `${repo.repository} of ${repo.upstream} is for the clients of this cache: send credentials`;
      throw unauthorized(reason, request, { isAnonymous: true });
    }
    const { principal } = identity;
    const until = Math.min(identity.until ?? Infinity, authorization.until ?? Infinity);
    if (!this.mayPull(principal, repo)) {
      // Without a name: in the log it may have to be a hash.
      const reason = `the rules of this cache do not let these credentials pull ${repo.repository} of ${repo.upstream}`;
      throw new Fault({ kind: "not-permitted", reason, principal: principal.name });
    }
    // By a certificate, which the response cache does not see: nothing is sent again.
    const viewer = asking.connection.certificate
      ? ""
      : (viewerOf(this.#options.key, request.headers) ?? "");
    return { upstream, viewer, principal: principal.name, from: Date.now(), until };
  }

  /** @throws Fault `unauthorized` for what proves nothing */
  async identify(authorization: Authorization, { request, connection }: Asking) {
    const presented = authorization.kind === "presented" ? authorization.credentials : undefined;
    const identity = await this.#options.clients.identify(presented, connection);
    if (identity.kind === "refused") {
      throw unauthorized("these credentials are not accepted", request, { cause: identity.reason });
    }
    if (identity.kind === "slowed") {
      throw new Fault({ kind: "slowed", retryAfter: identity.retryAfter });
    }
    return identity;
  }

  async principal(authorization: Authorization, asking: Asking) {
    if (authorization.kind === "invalid") return undefined;
    const identity = await this.identify(authorization, asking).catch(() => undefined);
    return identity?.kind === "principal" ? identity.principal : undefined;
  }
}
