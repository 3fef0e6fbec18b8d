import { type Asset, scriptAsset, styleAsset } from "./assets.ts";
import { renderPage } from "./render.tsx";
import { type Loaded, loadView, type ReadApi } from "./load-view.ts";

export interface PageRequest {
  readonly url: URL;
  readonly version: string;
  readonly mayChange: boolean;
  readonly hasSession: boolean;
  /** Whether it is shown to a person: then a page says that there is none. */
  readonly isForPeople: boolean;
  readonly read: ReadApi;
}

const POLICY = [
  "default-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "cache-control": "no-store",
};

const ICON: Asset = {
  path: "/assets/icon.svg",
  type: "image/svg+xml",
  content:
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#0d655f" d="M8 0l7 4v8l-7 4-7-4V4z"/><path fill="none" stroke="#fff" d="M1.5 4.3L8 8l6.500-3.700M8 8v7.500"/></svg>',
};

const NO_PAGE: Loaded = {
  status: 404,
  view: {
    page: "problem",
    title: "There is no such page",
    detail: "The menu above lists all there are.",
  },
};

const assets = new Map([scriptAsset, styleAsset, ICON].map((asset) => [asset.path, asset]));

/** A page of operators; undefined if there is none at this path. */
export async function pageResponse(request: PageRequest): Promise<Response | undefined> {
  const loaded =
    (await loadView(request.url, request.read)) ?? (request.isForPeople ? NO_PAGE : undefined);
  if (!loaded) return undefined;
  const { version, mayChange, hasSession } = request;
  const frame = { version, mayChange, hasSession, at: Date.now() };
  const { view, status } = loaded;
  return new Response(renderPage({ frame, view }), { status, headers: HEADERS });
}

/** A file that pages load: compressed once, and kept by browsers for as long as its name is used. */
export function assetResponse(path: string, acceptsGzip: boolean): Response | undefined {
  const asset = assets.get(path);
  if (!asset) return undefined;
  const headers = {
    "content-type": asset.type,
    "x-content-type-options": "nosniff",
    "cache-control": asset === ICON ? "max-age=86400" : "public, max-age=31536000, immutable",
    vary: "accept-encoding",
  };
  if (!acceptsGzip) return new Response(asset.content, { headers });
  return new Response(compressed(asset), { headers: { ...headers, "content-encoding": "gzip" } });
}

const gzipped = new Map<Asset, Uint8Array<ArrayBuffer>>();

function compressed(asset: Asset): Uint8Array<ArrayBuffer> {
  const known = gzipped.get(asset);
  if (known) return known;
  const bytes = Bun.gzipSync(asset.content, { level: 9 });
  gzipped.set(asset, bytes);
  return bytes;
}
