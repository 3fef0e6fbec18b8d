import { z } from "zod";
import type { Adopted, AdoptOptions } from "../../cache/retention/adoption.ts";
import { RefusedError } from "../../cache/retention/refused-error.ts";
import type { StoreAdmin } from "../../cache/retention/store-admin.ts";
import { parseUpstreamName } from "../../oci/names.ts";
import { progressStream } from "./progress-stream.ts";

export interface AdminApiOptions {
  readonly admin: StoreAdmin;
  readonly adopt: (options: AdoptOptions) => Promise<Adopted>;
  readonly dataDirectory: string;
  readonly version: string;
  /** What the cache is doing. */
  readonly status: () => Promise<object>;
}

/** More than any request here needs, in bytes. */
const LARGEST_BODY = 64 * 1024;
/** What a verification reads per second beside traffic, unless it is told otherwise, in bytes. */
const RATE = 100 * 1024 * 1024;

const dry = z.strictObject({ dryRun: z.boolean().default(false) });
const pattern = z.strictObject({ pattern: z.string().max(700) });
const forms = {
  gc: dry,
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
  }),
};

const STATUS: Readonly<Record<RefusedError["kind"], number>> = {
  "invalid-argument": 400,
  "no-match": 404,
  "over-max-size": 409,
  pinned: 409,
};

/** What an operator asks of a running cache, below `/api/v1/`. */
export class AdminApi {
  readonly #options: AdminApiOptions;

  constructor(options: AdminApiOptions) {
    this.#options = options;
  }

  /** @param path what follows `/api/v1/` */
  async answer(request: Request, path: string): Promise<Response> {
    try {
      if (request.method === "GET") return await this.#get(path, new URL(request.url));
      if (request.method === "POST") return await this.#post(path, request);
      return problem(405, `${request.method} is not served here`);
    } catch (error) {
      if (error instanceof RefusedError) {
        return Response.json(
          { error: error.message, kind: error.kind },
          { status: STATUS[error.kind] },
        );
      }
      if (error instanceof z.ZodError) return problem(400, z.prettifyError(error));
      if (error instanceof SyntaxError) return problem(400, "the body is no JSON");
      throw error;
    }
  }

  async #get(path: string, url: URL): Promise<Response> {
    const { admin, dataDirectory, version, status } = this.#options;
    switch (path) {
      case "status":
        return Response.json(await status());
      case "storage":
        return Response.json({ version, dataDirectory, ...(await admin.figures()) });
      case "images": {
        const images = await admin.list(url.searchParams.get("pattern") ?? undefined);
        return Response.json({ images });
      }
      case "pins":
        return Response.json({ pins: await admin.pins() });
      default:
        return problem(404, "there is nothing here");
    }
  }

  async #post(path: string, request: Request): Promise<Response> {
    // No page of another origin can send this type without asking first, which is not answered.
    if (!/^application\/json\b/i.test(request.headers.get("content-type") ?? "")) {
      return problem(415, "send JSON: Content-Type: application/json");
    }
    if (Number(request.headers.get("content-length") ?? 0) > LARGEST_BODY) {
      return problem(413, `at most ${LARGEST_BODY} bytes are read`);
    }
    const { admin } = this.#options;
    const body: unknown = JSON.parse((await request.text()) || "{}");
    switch (path) {
      case "gc":
        return Response.json(await admin.collect(forms.gc.parse(body).dryRun));
      case "purge": {
        const { pattern: text, dryRun } = forms.purge.parse(body);
        return Response.json(await admin.purge(text, dryRun));
      }
      case "pin": {
        const { pattern: text, platforms } = forms.pin.parse(body);
        return Response.json(await admin.pin(text, platforms));
      }
      case "unpin":
        await admin.unpin(forms.unpin.parse(body).pattern);
        return Response.json({});
      case "fsck":
        return this.#inspect(forms.fsck.parse(body), request.signal);
      case "adopt":
        return this.#adopt(forms.adopt.parse(body), request.signal);
      default:
        return problem(404, "there is nothing here");
    }
  }

  /** A running cache never serves what it knows to be corrupt, so it sets that aside in any case. */
  async #inspect(
    { rate = RATE }: { rate?: number | undefined },
    signal: AbortSignal,
  ): Promise<Response> {
    const { admin } = this.#options;
    const { blobs, blobBytes } = await admin.figures();
    const of = { files: blobs, bytes: blobBytes };
    return progressStream(signal, (tell) =>
      admin.verify({
        repair: true,
        rate,
        signal,
        onProgress: ({ files, bytes }) => tell({ files, bytes, of }),
      }),
    );
  }

  #adopt(
    { folder, upstream: name }: { folder: string; upstream: string },
    signal: AbortSignal,
  ): Response {
    const upstream = parseUpstreamName(name);
    if (!upstream) return problem(400, `${name} is no registry's name, such as ghcr.io`);
    return progressStream(signal, (onProgress) =>
      this.#options.adopt({ folder, upstream, onProgress, signal }),
    );
  }
}

function problem(status: number, message: string): Response {
  return Response.json({ error: message }, { status });
}
