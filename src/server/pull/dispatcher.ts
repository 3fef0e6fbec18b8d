import type { ClientConnection } from "../../access/client-access.ts";
import type { Cache } from "../../cache/cache.ts";
import { isBypassed } from "../../cache/upstream.ts";
import type { BrokenResponses } from "../../cache/repair/broken-responses.ts";
import { TurnLimiter } from "../../event-loop/turn-limiter.ts";
import { isDigest } from "../../cache/lookup/manifest-store.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Admission } from "./admission/admission.ts";
import type { Admitted, Asking } from "./admission/admitted.ts";
import { handleBlob } from "./blob-handler.ts";
import type { BlobRedirects } from "./blob-redirects.ts";
import { API_VERSION } from "./headers.ts";
import { handleCatalog, handleReferrers, handleTags } from "./list-handlers.ts";
import { handleManifest } from "./manifest-handler.ts";
import type { Namespaces } from "./namespaces.ts";
import type { IncomingRequest } from "./incoming-request.ts";
import type { RequestContext } from "./request-context.ts";
import type { RepositoryRoute, Route } from "./route.ts";

/** Responses with several ranges that begin in one turn of the event loop. Many parts take half a millisecond. */
const SEVERAL_RANGES_PER_TURN = 8;

export interface DispatcherOptions {
  readonly cache: Cache;
  readonly admission: Admission;
  readonly namespaces: Namespaces;
  readonly broken: BrokenResponses;
  /** Absent if all blobs are sent from here. */
  readonly redirects?: BlobRedirects | undefined;
}

/** Has a request that was parsed answered by its handler, once it is let in. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #severalRanges = new TurnLimiter(SEVERAL_RANGES_PER_TURN);

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** @throws Fault */
  async respond(
    route: Route,
    incoming: IncomingRequest,
    context: RequestContext,
  ): Promise<Response> {
    const asking = { request: incoming.request, connection: connectionOf(incoming) };
    switch (route.kind) {
      case "base":
        await this.#options.admission.admitToBase(
          this.#options.namespaces.servedAt(incoming.port),
          asking,
        );
        context.setBodySize(3);
        return new Response(context.isHead ? null : "{}\n", {
          headers: { ...API_VERSION, "content-type": "application/json", "content-length": "3" },
        });
      case "token":
        return this.#options.admission.issueToken(incoming.request);
      case "catalog":
        return handleCatalog(this.#options.cache, route.upstream, context, (repositories) =>
          this.#options.admission.visible(route.upstream, repositories, asking),
        );
      default:
        return this.#dispatchToRepository(route, asking, context);
    }
  }

  async #dispatchToRepository(
    route: RepositoryRoute,
    asking: Asking,
    context: RequestContext,
  ): Promise<Response> {
    const { admission } = this.#options;
    const admitting = admission.admit(route, asking);
    const admitted = admitting instanceof Promise ? await admitting : admitting;
    try {
      return await this.#respondAs(admitted, route, context);
    } catch (error) {
      if (!isDenied(error) || !(await admission.denied(route, asking))) throw error;
      // What it had granted may be for others now, or for the client as it shows itself.
      return this.#respondAs(await admission.admit(route, asking), route, context);
    }
  }

  #respondAs(
    admitted: Admitted,
    route: RepositoryRoute,
    context: RequestContext,
  ): Promise<Response> {
    context.admitted = admitted;
    return this.#respondTo({ ...route, upstream: admitted.upstream }, context);
  }

  async #respondTo(route: RepositoryRoute, context: RequestContext): Promise<Response> {
    const digest = digestOf(route);
    if (!digest) return this.#answer(route, undefined, context);
    try {
      return await this.#answer(route, digest, context);
    } catch (error) {
      throw await this.#options.cache.heldParts.told(route.repo, digest, error);
    }
  }

  async #answer(
    route: RepositoryRoute,
    digest: Digest | undefined,
    context: RequestContext,
  ): Promise<Response> {
    const { cache } = this.#options;
    if (digest && isBypassed(route.upstream, route.repo))
      cache.heldDigests.checkName(route.repo, digest);
    else if (digest && route.kind !== "tags")
      await cache.heldDigests.check(route.upstream, route.repo, digest, route.kind);
    switch (route.kind) {
      case "manifest":
        return handleManifest(this.#options.cache.manifests, route, context);
      case "blob":
        return handleBlob(
          {
            blobs: this.#options.cache.blobs,
            broken: this.#options.broken,
            severalRanges: this.#severalRanges,
            redirects: this.#options.redirects,
          },
          route,
          context,
        );
      case "tags":
        return handleTags(this.#options.cache, route, context);
      case "referrers":
        return handleReferrers(this.#options.cache, route, context);
    }
  }
}

/** What is asked for by its digest; `undefined` if that is a tag, or a list of them. */
function digestOf(route: RepositoryRoute): Digest | undefined {
  if (route.kind === "tags") return undefined;
  if (route.kind !== "manifest") return route.digest;
  return isDigest(route.reference) ? route.reference : undefined;
}

function isDenied(error: unknown): boolean {
  return error instanceof Fault && error.detail.kind === "upstream-denied";
}

function connectionOf({ address, certificate }: IncomingRequest): ClientConnection {
  return { address, ...(certificate ? { certificate } : {}) };
}
