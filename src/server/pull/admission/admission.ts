import type { ClientAccess } from "../../../access/client-access.ts";
import type { FailedAttempts } from "../../../access/failed-attempts.ts";
import { parseAuthorization } from "../../../access/authorization.ts";
import type { ProcessKey } from "../../../access/process-key.ts";
import { type SealedTokens, TOKEN_LIFETIME } from "../../../access/sealed-tokens.ts";
import { viewerOf } from "../../../access/viewer.ts";
import type { PublicRepositories } from "../../../access/verdicts/public-repositories.ts";
import type { Verdicts } from "../../../access/verdicts/verdicts.ts";
import type { Upstream } from "../../../cache/upstream.ts";
import {
  type AccessSettings,
  accessMode,
  hasMode,
} from "../../../config/access/access-settings.ts";
import { looksLikeDigest } from "../../../oci/digest.ts";
import { Fault } from "../../../oci/fault.ts";
import type { RepositoryName } from "../../../oci/names.ts";
import type { Registry } from "../../../upstream/registry.ts";
import type { ReceivedRequest } from "../incoming-request.ts";
import type { RepositoryRoute } from "../route.ts";
import type { Admitted, Asking } from "./admitted.ts";
import { ClientRules } from "./client-rules.ts";
import { presentsToken, tokenChallenge, unauthorized } from "./challenge.ts";
import { Presented, shownName } from "./presented.ts";

/** What clients are told who guess too much, in seconds. */
const RETRY_AFTER = 5;

/** What another replica may have of a repository. */
export interface ForReplica {
  readonly upstream: Upstream;
  /** Whether nothing is downloaded for it. */
  readonly isHereOnly: boolean;
}

export interface AdmissionOptions {
  readonly key: ProcessKey;
  readonly tokens: SealedTokens;
  readonly publicRepositories: PublicRepositories;
  readonly verdicts: Verdicts;
  /** Of clients whose credentials registries refuse. */
  readonly attempts: FailedAttempts;
  readonly clients: ClientAccess;
}

/**
 * Who may pull what: decided before anything is looked up, and by nothing that depends on what is stored
 * here. So a client that may not see a repository learns nothing of it: what exists and what does not is
 * refused alike, by the same steps.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #presented: Presented;
  readonly #rules: ClientRules;
  /** Of a registry, how public content of it is pulled, and with which settings. */
  readonly #withAuth = new WeakMap<Registry, { readonly from: object; readonly view: Registry }>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#presented = new Presented(options);
    this.#rules = new ClientRules(options);
  }

  /** See `viewerOf`. */
  viewerOf(headers: Headers): string | undefined {
    return viewerOf(this.#options.key, headers);
  }

  /**
   * Lets a request in, or does not. Resolves at once for what is open.
   *
   * @throws Fault `unauthorized`, `not-permitted`; `not-found` where the registry says so to this client
   */
  admit(route: RepositoryRoute, asking: Asking): Admitted | Promise<Admitted> {
    const { upstream, repo } = route;
    const { access } = upstream.settings;
    if (access === undefined) return { upstream };
    switch (accessMode(access, repo.repository)) {
      case "open":
        return { upstream };
      case "upstream":
        return this.#byUpstream(route, access, asking);
      case "clients":
        return this.#rules.admit(route, asking);
      case "denied":
        throw new Fault({ kind: "not-allowed", upstream: repo.upstream, name: repo.repository });
    }
  }

  /**
   * `/v2/`, at which clients ask whether they have to show who they are.
   *
   * @param upstreams that are served at the port
   * @throws Fault `unauthorized`
   */
  async admitToBase(upstreams: readonly Upstream[], asking: Asking): Promise<void> {
    const modes = upstreams.map(({ settings }) => settings.access);
    const isAsked = modes.some((access) => hasMode(access, "upstream", "clients"));
    if (!isAsked) return;
    const { request, connection } = asking;
    const authorization = this.#presented.of(request);
    if (authorization.kind === "invalid") throw unauthorized(authorization.reason, request);
    const wasAnonymousToken = presentsToken(request);
    if (authorization.kind === "none" && !wasAnonymousToken && !connection.certificate) {
      const reason = "some repositories here are private: send credentials, or ask for a token";
      const challenge = tokenChallenge(request);
      throw new Fault({ kind: "unauthorized", reason, challenge, isAnonymous: true });
    }
    // Where a registry decides, it is asked once it is known about which repository.
    if (modes.some((access) => !hasMode(access, "clients") || hasMode(access, "upstream"))) return;
    if (authorization.kind === "none") return;
    await this.#rules.identify(authorization, asking);
  }

  /** Whether the names of these repositories may be told to whoever asks. */
  async visible(
    { settings }: Upstream,
    repositories: readonly RepositoryName[],
    asking: Asking,
  ): Promise<RepositoryName[]> {
    const { access, name } = settings;
    if (access === undefined) return [...repositories];
    const { verdicts, publicRepositories } = this.#options;
    const modeOf = (repository: RepositoryName) => accessMode(access, repository);
    const asked = repositories.filter((repository) => modeOf(repository) === "upstream");
    const isPublic = new Set(await publicRepositories.among(name, asked));
    const authorization = this.#presented.of(asking.request);
    const credentials = this.#presented.credentials(authorization);
    const isByRules = repositories.some((repository) => modeOf(repository) === "clients");
    const principal = isByRules ? await this.#rules.principal(authorization, asking) : undefined;
    return repositories.filter((repository) => {
      const repo = { upstream: name, repository };
      switch (modeOf(repository)) {
        case "open":
          return true;
        case "upstream":
          if (isPublic.has(repository)) return true;
          return credentials !== undefined && verdicts.isGranted({ repo, access }, credentials);
        case "clients":
          return principal !== undefined && this.#rules.mayPull(principal, repo);
        case "denied":
          return false;
      }
    });
  }

  /**
   * The token endpoint (distribution's token specification). It gives a token to whoever asks, also without
   * credentials: what it is good for is decided where it is used.
   *
   * @throws Fault `unauthorized` if the credentials are malformed
   */
  issueToken(request: ReceivedRequest): Response {
    const authorization = parseAuthorization(request.headers.get("authorization"));
    if (authorization.kind === "invalid") throw unauthorized(authorization.reason, request);
    const presented = authorization.kind === "presented" ? authorization.credentials : undefined;
    if (presented?.scheme === "bearer") {
      throw unauthorized("a token is given for Basic credentials, not for another one", request);
    }
    const token = this.#options.tokens.issue(presented);
    return Response.json(
      { token, access_token: token, expires_in: TOKEN_LIFETIME },
      { headers: { "cache-control": "no-store" } },
    );
  }

  /**
   * How another replica, which has decided about its client itself, has something from here: downloaded for
   * it only where the registry shows it to anybody.
   */
  async forReplica(upstream: Upstream, repository: RepositoryName): Promise<ForReplica> {
    const { access, name } = upstream.settings;
    const isByUpstream = access && accessMode(access, repository) === "upstream";
    if (!isByUpstream) return { upstream, isHereOnly: false };
    const repo = { upstream: name, repository };
    if (!(await this.#options.publicRepositories.isPublic(repo)))
      return { upstream, isHereOnly: true };
    return { upstream: this.#forPublic(upstream, access), isHereOnly: false };
  }

  /** A registry has just refused what it had granted. Returns whether it is asked anew for it. */
  async denied({ upstream, repo }: RepositoryRoute, { request }: Asking): Promise<boolean> {
    const { access } = upstream.settings;
    if (!access || accessMode(access, repo.repository) !== "upstream") return false;
    const credentials = this.#presented.credentials(this.#presented.of(request));
    if (credentials) this.#options.verdicts.revoke(repo, credentials);
    await this.#options.publicRepositories.doubt(repo);
    return true;
  }

  async #byUpstream(
    route: RepositoryRoute,
    access: AccessSettings,
    asking: Asking,
  ): Promise<Admitted> {
    const { upstream, repo } = route;
    const { publicRepositories, verdicts, attempts } = this.#options;
    const place = { upstream, repo, access };
    const shown = publicRepositories.known(repo) ?? (await publicRepositories.find(place, route));
    if (shown.kind === "public") {
      const { isStale, until } = shown;
      const asked = isStale ? anonymous(upstream) : this.#forPublic(upstream, access);
      return { upstream: asked, from: Date.now(), until };
    }
    const { request } = asking;
    const authorization = this.#presented.of(request);
    if (authorization.kind === "invalid") throw unauthorized(authorization.reason, request);
    const credentials = this.#presented.credentials(authorization);
    if (!credentials) {
      if (shown.kind === "absent") throw absent(route);
      const reason = `${repo.repository} of ${repo.upstream} is private, or does not exist: send credentials that ${repo.upstream} accepts for it`;
      throw unauthorized(reason, request, { isAnonymous: authorization.kind === "none" });
    }
    const { address } = asking.connection;
    const isUnknown = verdicts.isUnknown(place, route, credentials);
    if (isUnknown && attempts.areTooMany(address)) {
      throw new Fault({ kind: "slowed", retryAfter: RETRY_AFTER });
    }
    const verdict = await verdicts.find(place, route, credentials);
    switch (verdict.kind) {
      case "granted": {
        const registry = upstream.registry.asClient(credentials);
        const viewer = this.viewerOf(request.headers);
        const until = Math.min(verdict.until, authorization.until ?? Infinity);
        const principal = `${repo.upstream}:${shownName(credentials)}`;
        return {
          upstream: { settings: upstream.settings, registry },
          from: Date.now(),
          until,
          principal,
          ...(viewer ? { viewer } : {}),
        };
      }
      case "absent":
        throw absent(route);
      case "refused": {
        // Whoever guesses would have the registry's answers by way of this cache, and this cache's address blamed.
        if (verdict.isNew) await attempts.failed(address);
        const reason = `${repo.upstream} does not let these credentials pull ${repo.repository}, or it does not exist`;
        throw unauthorized(reason, request);
      }
    }
  }

  #forPublic({ registry, settings }: Upstream, { usesAuthForPublic }: AccessSettings): Upstream {
    if (!usesAuthForPublic || !settings.credentials) return { settings, registry };
    const known = this.#withAuth.get(registry);
    if (known?.from === settings) return { settings, registry: known.view };
    const view = registry.forPublic();
    this.#withAuth.set(registry, { from: settings, view });
    return { settings, registry: view };
  }
}

/**
 * Of what was public when the registry last said so, nothing is pulled with credentials: they might show what
 * is not public any more.
 */
function anonymous({ settings, registry }: Upstream): Upstream {
  return { settings, registry: registry.asClient(undefined) };
}

function absent(route: RepositoryRoute): Fault {
  const { repo } = route;
  const { upstream, repository } = repo;
  switch (route.kind) {
    case "blob":
      return new Fault({
        kind: "not-found",
        what: "blob",
        upstream,
        name: `${repository}@${route.digest}`,
      });
    case "manifest": {
      const separator = looksLikeDigest(route.reference) ? "@" : ":";
      const name = `${repository}${separator}${route.reference}`;
      return new Fault({ kind: "not-found", what: "manifest", upstream, name });
    }
    case "referrers":
    case "tags":
      return new Fault({ kind: "not-found", what: "repository", upstream, name: repository });
  }
}
