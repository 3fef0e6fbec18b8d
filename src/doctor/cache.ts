import type { Settings } from "../config/settings.ts";
import { MANIFEST_ACCEPT } from "../oci/media-types.ts";
import { about, type Finding } from "./finding.ts";
import { ANY_CERTIFICATE, listenerAt, reachable, urlOf } from "./ports.ts";
import type { Sample } from "./upstreams.ts";

/** Above the 20 s in which a node gets headers. */
const PATIENCE_MS = 25_000;

/** The same questions to the running cache, as a node would ask them; none where it does not run. */
export async function cacheFindings(
  { listen, tls, upstreams }: Settings,
  samples: ReadonlyMap<string, Sample>,
): Promise<Finding[]> {
  const address = { host: reachable(listen.host), port: listen.port };
  if ((await listenerAt(address)) !== "entrepot") return [];
  const findings: Finding[] = [];
  for (const { name, port } of upstreams.values()) {
    const own = port === undefined ? address : { ...address, port };
    const base = urlOf(own, tls ? "https" : "http");
    const ns = port === undefined ? `?ns=${encodeURIComponent(name)}` : "";
    const report = about("through the cache", name);
    const sample = samples.get(name);
    const paths = [
      "/v2/",
      "/v2/_catalog",
      ...(sample ? [`/v2/${sample.repository}/manifests/${sample.tag}`] : []),
    ];
    const said: string[] = [];
    let isFine = true;
    for (const path of paths) {
      const status = await statusOf(`${base}${path}${ns}`);
      isFine &&= status === 200;
      said.push(`${path} ${status}`);
    }
    findings.push(
      isFine
        ? report("ok", said.join(", "))
        : report(
            "problem",
            said.join(", "),
            "the cache's log has a line for each, with its reason",
          ),
    );
  }
  return findings;
}

async function statusOf(url: string): Promise<number | string> {
  const method = url.includes("/manifests/") ? "HEAD" : "GET";
  try {
    const response = await fetch(url, {
      method,
      headers: { accept: MANIFEST_ACCEPT },
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...ANY_CERTIFICATE,
    });
    await response.body?.cancel();
    return response.status;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
