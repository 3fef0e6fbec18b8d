import { type Entrepot, localUpstream, startEntrepot } from "../harness/cache/entrepot.ts";
import { textImage } from "../harness/images/images.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "../harness/registries/scripted-upstream.ts";

/** A registry with one small image, and a cache that serves it. */
export interface CachedImage extends AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly cache: Entrepot;
  readonly image: string;
}

/** @param tls paths of PEM files, for a cache that speaks TLS */
export async function cachedImage(tls?: {
  readonly certificate: string;
  readonly key: string;
}): Promise<CachedImage> {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(await startScriptedUpstream());
  upstream.add("org/hello", textImage({ text: "hello" }), "1");
  const upstreams = { [upstream.address]: localUpstream(upstream.url) };
  const config = { upstreams, ...(tls ? { tls } : {}) };
  const cache = stack.use(await startEntrepot({ config }));
  const resources = stack.move();
  const image = `${upstream.address}/org/hello:1`;
  return { upstream, cache, image, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}
