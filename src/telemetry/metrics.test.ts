import { expect, test } from "bun:test";
import { Metrics } from "./metrics.ts";
import { Counters } from "./counters.ts";

/** The sample lines of the metrics whose name starts with `name`. */
async function linesOf(metrics: Metrics, name: string): Promise<string[]> {
  const text = await metrics.render();
  return text.split("\n").filter((line) => line.startsWith(name) && !line.startsWith("#"));
}

const request = { kind: "blob", method: "GET", status: 200, bytes: 10, seconds: 0.003 } as const;

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
  metrics.upstreamBytes(upstream, 7);
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
  metrics.upstreamBytes("docker.io", 5);
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
