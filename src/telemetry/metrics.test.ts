import { expect, test } from "bun:test";
import { Metrics } from "./metrics.ts";
import { Counters } from "./counters.ts";

/** The sample lines of the metrics whose name starts with `name`. */
async function linesOf(metrics: Metrics, name: string): Promise<string[]> {
  const text = await metrics.render();
  return text.split("\n").filter((line) => line.startsWith(name) && !line.startsWith("#"));
}

const request = {
  kind: "blob",
  method: "GET",
  status: 200,
  bytes: 10,
  secondsToFirstByte: 0.002,
  seconds: 0.003,
} as const;

test("requests are counted with their bytes and durations", async () => {
  const metrics = new Metrics();
  metrics.request({ ...request, upstream: "docker.io" });
  metrics.request({ ...request, upstream: "docker.io", seconds: 400 });
  metrics.request({ ...request, status: 404, bytes: 0, method: "BREW" });
  expect([
    ...(await linesOf(metrics, "entrepot_request")),
    ...(await linesOf(metrics, "entrepot_response")),
  ]).toEqual([
    'entrepot_requests_total{upstream="docker.io",kind="blob",method="GET",status="200"} 2',
    'entrepot_requests_total{upstream="none",kind="blob",method="other",status="404"} 1',
    'entrepot_request_duration_seconds_bucket{le="0.001",kind="blob"} 0',
    ...["0.005", "0.02", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "20", "60", "300"].map(
      (bound) => `entrepot_request_duration_seconds_bucket{le="${bound}",kind="blob"} 2`,
    ),
    'entrepot_request_duration_seconds_bucket{le="+Inf",kind="blob"} 3',
    'entrepot_request_duration_seconds_sum{kind="blob"} 400.006',
    'entrepot_request_duration_seconds_count{kind="blob"} 3',
    'entrepot_response_bytes_total{upstream="docker.io"} 20',
  ]);
});

test("cache results, upstream requests and downloads are counted", async () => {
  const metrics = new Metrics();
  const upstream = "ghcr.io";
  metrics.request({ ...request, upstream, kind: "manifest", result: "hit" });
  metrics.upstreamRequest({ upstream, kind: "manifest", status: 200 });
  metrics.upstreamRequest({ upstream, kind: "token", status: "failed" });
  metrics.upstreamBytes(upstream, "manifest", 7);
  metrics.fill(upstream, "stored");
  const text = await metrics.render();
  for (const line of [
    'entrepot_cache_requests_total{upstream="ghcr.io",kind="manifest",result="hit"} 1',
    'entrepot_upstream_requests_total{upstream="ghcr.io",kind="manifest",status="200"} 1',
    'entrepot_upstream_requests_total{upstream="ghcr.io",kind="token",status="failed"} 1',
    'entrepot_upstream_bytes_total{upstream="ghcr.io"} 7',
    'entrepot_token_requests_total{upstream="ghcr.io"} 1',
    'entrepot_fills_total{upstream="ghcr.io",result="stored"} 1',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
});

test("rendering the metrics twice does not change counters", async () => {
  const metrics = new Metrics();
  metrics.upstreamBytes("docker.io", "blob", 5);
  const firstScrape = await linesOf(metrics, "entrepot_upstream_bytes");
  expect(await linesOf(metrics, "entrepot_upstream_bytes")).toEqual(firstScrape);
});

test("a gauge is read when the metrics are rendered", async () => {
  const metrics = new Metrics();
  let active = 0;
  metrics.gauge("entrepot_fills_active", "Active downloads.", () => active);
  active = 3;
  expect(await linesOf(metrics, "entrepot_fills_active")).toEqual(["entrepot_fills_active 3"]);
});

test("process metrics are included, Node.js metrics that Bun does not support are not", async () => {
  const text = await new Metrics().render();
  expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
  expect(text).toMatch(/^# TYPE entrepot_request_duration_seconds histogram$/m);
  expect(text).not.toMatch(/nodejs_|NaN/i);
});

test("label combinations over the limit are counted as other", () => {
  const counters = new Counters(3);
  for (let index = 0; index < 10; index += 1) counters.add([`u${index}`, "GET"]);
  counters.add(["u0", "GET"]);
  expect([...counters]).toEqual([
    { labels: ["u0", "GET"], value: 2 },
    { labels: ["u1", "GET"], value: 1 },
    { labels: ["u2", "GET"], value: 1 },
    { labels: ["other", "other"], value: 7 },
  ]);
});

test("bytes are saved that clients got and that were not downloaded for it", async () => {
  const metrics = new Metrics();
  const upstream = "docker.io";
  const saved = (): Promise<string[]> => linesOf(metrics, "entrepot_saved_bytes_total");
  metrics.upstreamBytes(upstream, "blob", 100);
  metrics.request({ ...request, upstream, bytes: 100, result: "miss" });
  metrics.request({ ...request, upstream, status: 404, bytes: 50 });
  expect(await saved()).toEqual(['entrepot_saved_bytes_total{upstream="docker.io"} 0']);
  metrics.request({ ...request, upstream, bytes: 100, result: "hit" });
  expect(await saved()).toEqual(['entrepot_saved_bytes_total{upstream="docker.io"} 100']);
  // A counter never falls, also while something is downloaded ahead.
  metrics.upstreamBytes(upstream, "blob", 70);
  expect(await saved()).toEqual(['entrepot_saved_bytes_total{upstream="docker.io"} 100']);
  metrics.request({ ...request, upstream, bytes: 70, result: "hit" });
  metrics.request({ ...request, upstream, bytes: 70, result: "hit" });
  expect(await saved()).toEqual(['entrepot_saved_bytes_total{upstream="docker.io"} 170']);
  expect(metrics.traffic(upstream).savedBytes).toBe(170);
});

test("the time to the first byte is measured by cache result", async () => {
  const metrics = new Metrics();
  metrics.request({ ...request, upstream: "docker.io", result: "hit", secondsToFirstByte: 0.0005 });
  metrics.request({ ...request, upstream: "docker.io", status: 404, secondsToFirstByte: 9 });
  const lines = await linesOf(metrics, "entrepot_time_to_first_byte_seconds");
  expect(lines.at(0)).toBe('entrepot_time_to_first_byte_seconds_bucket{le="0.001",result="hit"} 1');
  expect(lines.slice(-2)).toEqual([
    'entrepot_time_to_first_byte_seconds_sum{result="hit"} 0.0005',
    'entrepot_time_to_first_byte_seconds_count{result="hit"} 1',
  ]);
});

test("requests are counted as registry:3 counts them, by blobs and manifests", async () => {
  const metrics = new Metrics();
  const upstream = "docker.io";
  for (const result of ["hit", "stale", "collapsed", "revalidated", "miss", "bypass"] as const) {
    metrics.request({ ...request, upstream, result });
  }
  metrics.request({ ...request, upstream, kind: "manifest", result: "miss" });
  metrics.request({ ...request, upstream, kind: "tags", result: "miss" });
  metrics.upstreamBytes(upstream, "blob", 20);
  metrics.upstreamBytes(upstream, "token", 5);
  expect(await linesOf(metrics, "registry_proxy")).toEqual([
    'registry_proxy_requests_total{upstream_host="docker.io",type="blob"} 6',
    'registry_proxy_requests_total{upstream_host="docker.io",type="manifest"} 1',
    'registry_proxy_hits_total{upstream_host="docker.io",type="blob"} 4',
    'registry_proxy_hits_total{upstream_host="docker.io",type="manifest"} 0',
    'registry_proxy_misses_total{upstream_host="docker.io",type="blob"} 2',
    'registry_proxy_misses_total{upstream_host="docker.io",type="manifest"} 1',
    'registry_proxy_pulled_bytes_total{upstream_host="docker.io",type="blob"} 20',
    'registry_proxy_pushed_bytes_total{upstream_host="docker.io",type="blob"} 60',
    'registry_proxy_pushed_bytes_total{upstream_host="docker.io",type="manifest"} 10',
  ]);
});
