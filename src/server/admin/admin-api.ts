import { z } from "zod";
import type { Adopted } from "../../cache/adoption/adopted.ts";
import type { Cache } from "../../cache/cache.ts";
import { withTimeout } from "../../cache/with-timeout.ts";
import type { AdoptOptions } from "../../cache/adoption/adoption.ts";
import { RefusedError } from "../../cache/retention/refused-error.ts";
import type { StoreAdmin } from "../../cache/retention/store-admin.ts";
import type { Status } from "../../api/status.ts";
import { parseUpstreamName } from "../../oci/names.ts";
import type { Operation } from "../api/operation.ts";
import { documentOperations } from "../api/operations/document.ts";
import type { Jobs } from "../api/jobs/job-table.ts";
import { jobOperations } from "../api/operations/jobs.ts";
import { statusOperations } from "../api/operations/status.ts";
import { API_PREFIX, Router } from "../api/router.ts";
import { jsonList } from "./json-list.ts";
import { Orders, type TellReplicas } from "./orders.ts";
import { progressStream } from "./progress-stream.ts";
import { handleShared, type SharedStoreOperations } from "./shared-store.ts";

export interface AdminApiOptions {
  readonly admin: StoreAdmin;
  readonly adopt: (options: AdoptOptions) => Promise<Adopted>;
  /** Reads the configuration again; what `POST /api/v1/reload` returns. */
  readonly reload: () => object;
  /** The store that this cache shares with other replicas, if there is one. */
  readonly shared?: (() => SharedStoreOperations | undefined) | undefined;
  /** What clients have got, and is still being stored. */
  readonly pulled: Pick<Cache, "settled" | "storing">;
  readonly dataDirectory: string;
  readonly version: string;
  /** What `GET /api/v1/status` returns. */
  readonly status: () => Promise<Status>;
  readonly jobs: Jobs;
  /** Further operations. */
  readonly operations?: readonly Operation[];
  /** Has other replicas do what was done here; absent if there are none. */
  readonly tellReplicas?: TellReplicas | undefined;
}

/** Limit of request bodies, in bytes: far above what any request needs. */
const MAX_BODY = 64 * 1024;
/** Default read rate of a verification, which runs beside traffic, in bytes per second. */
const DEFAULT_RATE = 100 * 1024 * 1024;
/** How many requests that read every image are answered at once: each takes memory until it is answered. */
const MAX_SURVEYS = 4;

/** How long a list and a purge wait for what clients have got and is still being stored, in milliseconds. */
const LIST_PATIENCE_MS = 1000;
const PURGE_PATIENCE_MS = 10_000;

/** Of paths about the store that replicas share. */
const SHARED = "shared-";

const dryRun = z.strictObject({ dryRun: z.boolean().default(false) });
const pattern = z.strictObject({ pattern: z.string().max(700) });
const bodies = {
  gc: dryRun,
  purge: pattern.extend({ dryRun: z.boolean().default(false) }),
  pin: pattern.extend({ platforms: z.array(z.string().max(100)).max(32).default([]) }),
  unpin: pattern,
  fsck: z.strictObject({
    repair: z.boolean().default(false),
    rate: z.number().int().min(1).optional(),
  }),
  adopt: z.strictObject({
    folder: z.string().max(4096).startsWith("/"),
    upstream: z.string().max(300),
    shared: z.boolean().optional(),
    link: z.boolean().optional(),
  }),
};

const STATUS_CODES: Readonly<Record<RefusedError["kind"], number>> = {
  "invalid-argument": 400,
  "no-match": 404,
  "over-max-size": 409,
  pinned: 409,
};

/** In a list of the images: how many manifests and blobs are still being stored, and are not in it. */
export const STORING_HEADER = "entrepot-storing";

/** The API for operators of a running cache, at `/api/v1/`. */
export class AdminApi {
  readonly #options: AdminApiOptions;
  readonly #orders: Orders;
  readonly #router: Router;
  /** Requests in progress that read every image. */
  #surveys = 0;

  constructor(options: AdminApiOptions) {
    this.#options = options;
    this.#orders = new Orders(options);
    this.#router = new Router([
      ...statusOperations(options),
      ...jobOperations(options.jobs),
      ...(options.operations ?? []),
      ...documentOperations(options.version, () => this.#router.operations),
    ]);
  }

  async handle(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname.slice(API_PREFIX.length);
    if (this.#router.has(path)) return this.#router.respond(request);
    return this.#handle(request, path.slice(1));
  }

  /** @param path the part of the path after `/api/v1/` */
  async #handle(request: Request, path: string): Promise<Response> {
    try {
      if (request.method === "GET") return await this.#get(path, request);
      if (request.method === "POST") return await this.#post(path, request);
      return problem(405, `${request.method} is not allowed: use GET or POST`);
    } catch (error) {
      if (error instanceof RefusedError) {
        return Response.json(
          { error: error.message, kind: error.kind },
          { status: STATUS_CODES[error.kind] },
        );
      }
      if (error instanceof z.ZodError) return problem(400, z.prettifyError(error));
      if (error instanceof SyntaxError) return problem(400, "the body is not valid JSON");
      throw error;
    }
  }

  async #get(path: string, { url, signal }: Request): Promise<Response> {
    const { admin, dataDirectory, version, pulled } = this.#options;
    switch (path) {
      case "storage":
        return Response.json({ version, dataDirectory, ...(await admin.figures()) });
      case "images": {
        const text = new URL(url).searchParams.get("pattern") ?? undefined;
        return this.#survey(async (ended) => {
          await withTimeout(LIST_PATIENCE_MS, pulled.settled());
          const { storing } = pulled;
          const list = await jsonList("images", await admin.list(text, signal), { ended });
          if (storing > 0) list.headers.set(STORING_HEADER, String(storing));
          return list;
        });
      }
      case "pins":
        return this.#survey(async (ended) => {
          const pins = await admin.pinning.list(signal);
          ended();
          return Response.json({ pins });
        });
      default:
        return (await this.#shared("GET", path, { url, signal })) ?? noEndpoint(path);
    }
  }

  async #post(path: string, request: Request): Promise<Response> {
    // A page of another origin can send this type only after a CORS preflight, which is refused.
    if (!/^application\/json\b/i.test(request.headers.get("content-type") ?? "")) {
      return problem(415, "send JSON with Content-Type: application/json");
    }
    const received = await readBody(request);
    if (received === undefined) return problem(413, `the body is larger than ${MAX_BODY} bytes`);
    const { admin } = this.#options;
    const body: unknown = JSON.parse(received || "{}");
    switch (path) {
      case "gc":
        return Response.json(await admin.collect(bodies.gc.parse(body).dryRun));
      case "purge": {
        const { pattern: text, dryRun: isDryRun } = bodies.purge.parse(body);
        return this.#survey(async (ended) => {
          if (!isDryRun) await this.#mustBeStored();
          const { names, run } = await this.#orders.purge(text, isDryRun, request.signal);
          return jsonList("images", names, { last: run, ended });
        });
      }
      case "pin": {
        const { pattern: text, platforms } = bodies.pin.parse(body);
        return this.#survey(async (ended) => {
          const pin = await this.#orders.pin(text, platforms);
          ended();
          return Response.json(pin);
        });
      }
      case "unpin":
        return Response.json(await this.#orders.unpin(bodies.unpin.parse(body).pattern));
      case "reload":
        return Response.json(this.#options.reload());
      case "fsck":
        return this.#verify(bodies.fsck.parse(body), request.signal);
      case "adopt":
        return this.#adopt(bodies.adopt.parse(body), request.signal);
      default:
        return (await this.#shared("POST", path, request, body)) ?? noEndpoint(path);
    }
  }

  async #shared(
    method: "GET" | "POST",
    path: string,
    { url, signal }: Pick<Request, "url" | "signal">,
    body?: unknown,
  ): Promise<Response | undefined> {
    if (!path.startsWith(SHARED)) return undefined;
    const query = new URL(url).searchParams;
    const request = { method, path: path.slice(SHARED.length), query, body, signal };
    return handleShared(this.#options.shared?.(), request);
  }

  /**
   * What is still being stored would be there after a purge that does not know it.
   *
   * @throws Error if the disk takes too long
   */
  async #mustBeStored(): Promise<void> {
    const { pulled } = this.#options;
    const settled = pulled.settled().then(() => true);
    if (await withTimeout(PURGE_PATIENCE_MS, settled)) return;
    const count = pulled.storing;
    throw new Error(
      `the disk is slow: ${count} manifests and blobs that were pulled are still being written, and a purge would not find them. Try again later`,
    );
  }

  /** @param answer calls `ended` once the response takes no more memory */
  async #survey(answer: (ended: () => void) => Promise<Response>): Promise<Response> {
    if (this.#surveys >= MAX_SURVEYS) {
      return problem(
        503,
        `${MAX_SURVEYS} such requests are in progress: try again when one is done`,
      );
    }
    this.#surveys += 1;
    let hasEnded = false;
    const ended = (): void => {
      if (!hasEnded) this.#surveys -= 1;
      hasEnded = true;
    };
    try {
      return await answer(ended);
    } catch (error) {
      ended();
      throw error;
    }
  }

  /** Corrupt blobs are quarantined even without `repair`, if that is possible: they must never be served. */
  async #verify(
    { rate = DEFAULT_RATE, repair }: { rate?: number | undefined; repair: boolean },
    signal: AbortSignal,
  ): Promise<Response> {
    const { admin } = this.#options;
    const { blobs, blobBytes } = await admin.figures();
    const of = { files: blobs, bytes: blobBytes };
    return progressStream(signal, (report) =>
      admin.verify({
        repair: repair || "if-possible",
        rate,
        signal,
        onProgress: ({ files, bytes }) => report({ files, bytes, of }),
      }),
    );
  }

  #adopt(
    { upstream: name, ...request }: z.infer<typeof bodies.adopt>,
    signal: AbortSignal,
  ): Response {
    const upstream = parseUpstreamName(name);
    if (!upstream)
      return problem(
        400,
        `${JSON.stringify(name)} is not a registry name: write one as images carry it, such as ghcr.io`,
      );
    return progressStream(signal, (onProgress) =>
      this.#options.adopt({ ...request, upstream, onProgress, signal }),
    );
  }
}

/**
 * Reads the body as text; `undefined` if it is larger than `MAX_BODY`. A chunked body does not say how
 * large it is, so its bytes are counted.
 */
async function readBody({ headers, body }: Request): Promise<string | undefined> {
  if (Number(headers.get("content-length") ?? 0) > MAX_BODY) return undefined;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function problem(status: number, message: string): Response {
  return Response.json({ error: message }, { status });
}

function noEndpoint(path: string): Response {
  return problem(404, `there is no endpoint /api/v1/${path}`);
}
