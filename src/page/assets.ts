import { browserAssets } from "./assets.macro.ts" with { type: "macro" };

/** A file that pages load. Its name changes with its content, so it may be kept for ever. */
export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly content: string;
}

const { script, style } = browserAssets();

export const scriptAsset = asset("page", "js", "text/javascript", script);
export const styleAsset = asset("page", "css", "text/css", style);

function asset(name: string, extension: string, type: string, content: string): Asset {
  const hash = Bun.hash(content).toString(36);
  return { path: `/assets/${name}-${hash}.${extension}`, type: `${type}; charset=utf-8`, content };
}
