import { type Content, randomContent } from "../images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./entrepot.ts";
import * as faults from "../faults/faults.ts";
import { textImage } from "../images/images.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "../registries/scripted-upstream.ts";

const MIB = 1024 * 1024;

/** A cache whose clients have counted themselves what they got, for pages to be compared with. */
export class PageLoad implements AsyncDisposable {
  /** Bytes that clients got. */
  sent = 0;
  requests = 0;
  /** Of the requests, those for which the upstream sent no content. */
  fromCache = 0;
  /** What is stored. */
  readonly held: Content[] = [];
  readonly pinned: Content[] = [];

  private constructor(
    readonly cache: Entrepot,
    readonly upstream: ScriptedUpstream,
  ) {}

  /** Serves a miss, hits, a whole image to two runtimes, and a tag that is stale since its registry fails; pins the image. */
  static async start(): Promise<PageLoad> {
    const upstream = await startScriptedUpstream();
    const config = { upstreams: { "docker.io": { ...localUpstream(upstream.url), tagTtl: "0s" } } };
    const load = new PageLoad(await startEntrepot({ config }), upstream);
    await load.#serve();
    return load;
  }

  /** Bytes that the upstream has sent. */
  get fetched(): number {
    return this.upstream.requests({ method: "GET" }).reduce((bytes, { sent }) => bytes + sent, 0);
  }

  /** @param path of a manifest or a blob, below its repository in `library/` */
  async pull(
    path: string,
    { userAgent = "containerd/v2.1.4", from = this.cache, isCached = false } = {},
  ): Promise<void> {
    const headers = { "user-agent": userAgent };
    const response = await from.get(`/v2/library/${path}?ns=docker.io`, { headers });
    const body = await response.bytes();
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    if (from !== this.cache) return;
    this.sent += body.byteLength;
    this.requests += 1;
    if (isCached) this.fromCache += 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cache[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }

  async #serve(): Promise<void> {
    const { upstream, held, pinned } = this;
    const app = textImage({ text: "one" });
    const layer = randomContent(2 * MIB, 1);
    upstream.add("library/app", app, "1");
    upstream.addBlob("library/app", layer);
    await this.pull("app/manifests/1");
    await this.pull(`app/blobs/${layer.digest}`);
    for (let count = 0; count < 2; count += 1)
      await this.pull(`app/blobs/${layer.digest}`, { isCached: true });
    const tool = textImage({ text: "two" });
    const parts = [tool.manifest, ...tool.blobs];
    upstream.add("library/tool", tool, "2");
    await this.pull("tool/manifests/2", { userAgent: "cri-o/1.34.1" });
    for (const { digest } of tool.blobs)
      await this.pull(`tool/blobs/${digest}`, { userAgent: "cri-o/1.34.1" });
    for (const { digest } of parts) {
      const kind = digest === tool.manifest.digest ? "manifests" : "blobs";
      await this.pull(`tool/${kind}/${digest}`, { userAgent: "podman/5.6.2", isCached: true });
    }
    upstream.respond(() => faults.errorResponse(503, "UNAVAILABLE"));
    await this.pull("app/manifests/1", { isCached: true });
    upstream.respond();
    await this.cache.getAdmin("/api/v1/pins", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ pattern: "docker.io/library/tool:2" }),
    });
    held.push(app.manifest, layer, ...parts);
    pinned.push(...parts);
  }
}
