import type { Upstream } from "../../cache/upstream.ts";
import { hasMode } from "../../config/access/access-settings.ts";
import { Fault } from "../../oci/fault.ts";
import { faultResponse } from "../pull/errors.ts";
import type { Namespaces } from "../pull/namespaces.ts";
import type { OfferedImages } from "../pull/offered-images.ts";
import type { PullApi } from "../pull/pull-api.ts";
import type { IncomingRequest } from "../pull/incoming-request.ts";
import type { RecentPulls } from "../pull/recent-pulls.ts";

const HEALTHY = "ok\n";

/** What a node-facing port serves besides the pull API. */
export type Page = "health" | "namespaces" | "images" | "served";

export interface PageRequest extends Pick<Request, "url" | "method"> {
  /** The client's address, without its port. */
  readonly address: string;
}

/** The responses of one node-facing port. */
export interface NodeAnswers {
  /** Of the port, for `IncomingRequest`. */
  readonly port: IncomingRequest["port"];
  /** The response of `/healthz`, if it is always the same. */
  readonly health?: Response;
  pull(request: IncomingRequest): Response | Promise<Response>;
  page(page: Page, request: PageRequest): Response | Promise<Response>;
}

export interface OwnAnswersOptions {
  readonly api: PullApi;
  readonly namespaces: Namespaces;
  readonly recentPulls: RecentPulls;
  readonly offered: OfferedImages;
  /** Resolves once `recentPulls` has what other threads have served by now. */
  readonly collected?: () => Promise<unknown>;
  /** Set for a port that belongs to one upstream, at which requests need no namespace. */
  readonly upstream?: Upstream;
}

/** Answers that are made in this thread. */
export class OwnAnswers implements NodeAnswers {
  readonly #options: OwnAnswersOptions;
  readonly port: Upstream | undefined;
  readonly health: Response = new Response(HEALTHY);
  readonly #api: PullApi;

  constructor(options: OwnAnswersOptions) {
    this.#options = options;
    this.#api = options.api;
    this.port = options.upstream;
  }

  pull(request: IncomingRequest): Response | Promise<Response> {
    return this.#api.handle(request);
  }

  page(page: Page, request: PageRequest): Response | Promise<Response> {
    switch (page) {
      case "health":
        return new Response(HEALTHY);
      case "namespaces":
        return Response.json(namespacesBody(this.#options.namespaces, this.port));
      case "images":
        return this.#images(request);
      case "served":
        return this.#served(request);
    }
  }

  async #images({ url, method }: PageRequest): Promise<Response> {
    const platform = new URL(url).searchParams.get("platform") ?? "linux/amd64";
    try {
      return Response.json({ images: await this.#options.offered.list(platform, this.port) });
    } catch (error) {
      if (error instanceof Fault) return faultResponse(error, method);
      throw error;
    }
  }

  async #served({ url, address }: PageRequest): Promise<Response> {
    const { recentPulls, collected } = this.#options;
    const asked = Number(new URL(url).searchParams.get("since") ?? 0);
    const since = Number.isFinite(asked) ? asked : 0;
    await collected?.();
    return Response.json({
      address,
      served: recentPulls.of(address, since),
      refused: recentPulls.refusedOf(address, since),
    });
  }
}

/**
 * The ports are for clients that cannot name a namespace in another way. Of access, it says only where
 * credentials are asked for, as a request would find out, and of no repository.
 */
function namespacesBody(namespaces: Namespaces, upstream: Upstream | undefined): object {
  const names = namespaces.namesAt(upstream);
  const ports = namespaces.settings.flatMap(({ name, port }) =>
    port === undefined || !names.includes(name) ? [] : [[name, port]],
  );
  const asks = namespaces.settings.flatMap(({ name, access }) =>
    names.includes(name) && hasMode(access, "upstream", "clients") ? [[name, "credentials"]] : [],
  );
  return {
    namespaces: names,
    ...(ports.length === 0 ? {} : { ports: Object.fromEntries(ports) }),
    ...(asks.length === 0 ? {} : { asks: Object.fromEntries(asks) }),
  };
}
