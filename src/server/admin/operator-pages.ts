import type * as Pages from "../../page/pages.ts";
import { version } from "../../version.ts";
import type { Right } from "../access/access-tokens.ts";
import { API_PREFIX } from "../api/router.ts";
import type { AdminApi } from "./admin-api.ts";

/** Where the files are that pages load. */
export const ASSETS = "/assets/";

/** The pages of operators. What they show they ask of the API, so that both say the same. */
export class OperatorPages {
  readonly #api: Pick<AdminApi, "handle">;

  constructor(api: Pick<AdminApi, "handle">) {
    this.#api = api;
  }

  /** @returns undefined if there is no page at this path */
  async page(request: Request, right: Right, hasSession: boolean): Promise<Response | undefined> {
    const url = new URL(request.url);
    const { pageResponse } = await loaded();
    return pageResponse({
      url,
      version,
      hasSession,
      isForPeople: /\btext\/html\b/.test(request.headers.get("accept") ?? ""),
      mayChange: right === "admin",
      read: (path) => {
        const { signal } = request;
        return this.#api.handle(new Request(new URL(API_PREFIX + path, url), { signal }), right);
      },
    });
  }

  /** A file that pages load. It tells nothing of the cache, so it needs no token. */
  async asset(request: Request): Promise<Response | undefined> {
    const { assetResponse } = await loaded();
    const acceptsGzip = /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
    return assetResponse(new URL(request.url).pathname, acceptsGzip);
  }
}

/** Loads the pages with the first one that is asked for: most caches are looked at seldom. */
function loaded(): Promise<typeof Pages> {
  return import("../../page/pages.ts");
}
