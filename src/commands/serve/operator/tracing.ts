import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { parseHeaders } from "../../../config/tracing/headers.ts";
import type { TracingSettings } from "../../../config/tracing/tracing-settings.ts";
import type { Log } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import { Exporter } from "../../../telemetry/tracing/exporter.ts";
import { Tracer } from "../../../telemetry/tracing/tracer.ts";
import { version } from "../../../version.ts";

export interface Tracing extends AsyncDisposable {
  readonly tracer: Tracer;
}

/** Starts to trace, if that is configured. */
export function openTracing(
  settings: TracingSettings | undefined,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
): Tracing | undefined {
  // In the reference and in dashboards, whether it is configured or not.
  const counts = { exported: 0, dropped: 0 };
  metrics.counters(
    "entrepot_trace_spans_total",
    "Spans of traces that were sent, and that were dropped since their receiver did not take them.",
    ["result"],
    () => Object.entries(counts).map(([result, value]) => ({ labels: [result], value })),
  );
  if (!settings) return undefined;
  const { endpoint, sample, headersFile, ca } = settings;
  const exporter = new Exporter({
    url: endpoint,
    ...(ca === undefined ? {} : { ca }),
    headers: async () =>
      headersFile === undefined ? {} : parseHeaders(await readFile(headersFile, "utf8")),
    resource: {
      "service.name": "entrepot",
      "service.version": version,
      "service.instance.id": crypto.randomUUID(),
      "host.name": hostname(),
      "process.pid": process.pid,
    },
    version,
    observer: {
      exported: (spans) => (counts.exported += spans),
      dropped: (spans) => (counts.dropped += spans),
      failed: (reason) =>
        log.warn(
          { error: reason },
          "traces are not taken: some wait for the receiver, and more are dropped",
        ),
      recovered: () => log.info("traces are taken again"),
    },
  });
  return {
    tracer: new Tracer({ sample, ended: (span) => exporter.add(span) }),
    [Symbol.asyncDispose]: () => exporter[Symbol.asyncDispose](),
  };
}
