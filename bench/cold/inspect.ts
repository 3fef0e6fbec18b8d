import { localUpstream, startEntrepot } from "../../test/harness/cache/entrepot.ts";
import { layersOf } from "../../test/harness/images/images.ts";
import { mustRun } from "../../test/harness/processes.ts";
import { FAR, type Run } from "../run.ts";
import { startShaper } from "../shaped-link.ts";
import { incompressibleImage } from "./images.ts";

/** Bytes of layers that the cache fetches for somebody who asks about an image and wants none of them. */
export async function measureInspect(run: Run): Promise<void> {
  const image = await run.upstream.image("inspected", () => incompressibleImage([2, 40, 1, 8], 7));
  const { registry } = run.upstream;
  run.step("skopeo inspect of an uncached image");
  await using link = await startShaper(registry.port, FAR);
  await registry.forget();
  {
    await using cache = await startEntrepot({
      config: { upstreams: { "bench.test": localUpstream(link.url) } },
    });
    const name = `docker://${cache.address}/bench.test/bench/inspected:1`;
    for (const flags of [[], ["--config"], ["--raw"]])
      await mustRun(["skopeo", "inspect", "--tls-verify=false", ...flags, name]);
    const { digest } = image.manifest;
    const head = await cache.head(`/v2/bench/inspected/manifests/${digest}?ns=bench.test`);
    if (!head.ok) throw new Error(`HEAD of the manifest returned ${head.status}`);
    // Whatever it fetches beside these has begun when it is asked to stop.
  }
  const layers = new Set<string>(layersOf(image).map((layer) => layer.digest));
  const requests = await registry.requests({ method: "GET" });
  const fetched = requests.filter(({ path }) => layers.has(path.slice(path.lastIndexOf("/") + 1)));
  run.add("skopeo inspect", "entrepot", {
    "layer bytes fetched": fetched.reduce((total, { sent }) => total + sent, 0),
  });
}
