import { hasMode } from "../config/access/access-settings.ts";
import { addressOf, type Settings, type UpstreamSettings } from "../config/settings.ts";
import { MANIFEST_ACCEPT } from "../oci/media-types.ts";
import { type Finding, reporter } from "./finding.ts";
import { ANY_CERTIFICATE, dialableHost, listenerAt, urlOf } from "./ports.ts";
import type { Sample } from "./upstreams.ts";

/** Longer than the 20 s within which the cache sends response headers to a node. */
const TIMEOUT_MS = 25_000;

/** Sends a node's requests to the running cache, for each upstream; empty if no cache runs. */
export async function cacheFindings(
  settings: Settings,
  samples: ReadonlyMap<string, Sample>,
): Promise<Finding[]> {
  const { listen, tls, upstreams } = settings;
  const address = { host: dialableHost(listen.host), port: listen.port };
  if ((await listenerAt(address)) !== "entrepot") return [];
  const findings: Finding[] = [];
  const anyAsks = [...upstreams.values()].some(asks);
  for (const upstream of upstreams.values()) {
    const { name } = upstream;
    const own = addressOf(upstream, settings);
    const target = own ? { ...own, host: dialableHost(own.host) } : address;
    const base = urlOf(target, tls ? "https" : "http");
    const ns = own ? "" : `?ns=${encodeURIComponent(name)}`;
    const report = reporter("through the cache", name);
    const sample = samples.get(name);
    const paths = [
      "/v2/",
      "/v2/_catalog",
      ...(sample ? [`/v2/${sample.repository}/manifests/${sample.tag}`] : []),
    ];
    const results: string[] = [];
    let isOk = true;
    for (const path of paths) {
      const status = await statusOf(`${base}${path}${ns}`);
      // Without credentials, that is the right answer.
      const mayAsk = asks(upstream) || (path === "/v2/" && !own && anyAsks);
      isOk &&= status === 200 || (status === 401 && mayAsk);
      results.push(`${path} ${status}`);
    }
    findings.push(
      isOk
        ? report("ok", results.join(", "))
        : report(
            "problem",
            results.join(", "),
            "read the cache's log: it gives the reason for each failed request",
          ),
    );
  }
  return findings;
}

/** Whether credentials are asked for, for any of its repositories. */
function asks({ access }: UpstreamSettings): boolean {
  return hasMode(access, "upstream", "clients");
}

/** The status code, or the reason why there was no response. */
async function statusOf(url: string): Promise<number | string> {
  const method = url.includes("/manifests/") ? "HEAD" : "GET";
  try {
    const response = await fetch(url, {
      method,
      headers: { accept: MANIFEST_ACCEPT },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...ANY_CERTIFICATE,
    });
    await response.body?.cancel();
    return response.status;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
