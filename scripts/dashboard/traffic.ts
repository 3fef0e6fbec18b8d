import type { Row } from "./panel.ts";
import { CACHE, ratio, SERVED, UPSTREAM, WINDOW } from "./selectors.ts";

export const TRAFFIC: Row = {
  title: "Traffic",
  panels: [
    {
      kind: "timeseries",
      title: "Requests by cache result",
      description: "How the cache came by its responses.",
      unit: "reqps",
      width: 12,
      isStacked: true,
      queries: [
        {
          expr: `sum by (result) (rate(entrepot_cache_requests_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "{{result}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Sent to clients, received from registries",
      description: "What lies between the two lines was saved.",
      unit: "Bps",
      width: 12,
      queries: [
        {
          expr: `sum(rate(entrepot_response_bytes_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "sent",
        },
        {
          expr: `sum(rate(entrepot_upstream_bytes_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "received",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Hit ratio by registry",
      description: "The part of the requests that was answered from the cache.",
      unit: "percentunit",
      width: 8,
      max: 1,
      queries: [
        {
          expr: ratio(
            `sum by (upstream) (rate(entrepot_cache_requests_total{${UPSTREAM}, ${SERVED}}[${WINDOW}]))`,
            `sum by (upstream) (rate(entrepot_cache_requests_total{${UPSTREAM}, result!="bypass"}[${WINDOW}]))`,
          ),
          legend: "{{upstream}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Time to first byte (95 %)",
      description: "From the arrival of a request until its response began, by cache result.",
      unit: "s",
      width: 8,
      queries: [
        {
          expr: `histogram_quantile(0.95, sum by (le, result) (rate(entrepot_time_to_first_byte_seconds_bucket{${CACHE}}[${WINDOW}])))`,
          legend: "{{result}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Whole responses (95 %)",
      description: "From the arrival of a request to the end of its response.",
      unit: "s",
      width: 8,
      queries: [
        {
          expr: `histogram_quantile(0.95, sum by (le, kind) (rate(entrepot_request_duration_seconds_bucket{${CACHE}}[${WINDOW}])))`,
          legend: "{{kind}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Requests by status",
      description: "5xx are what nodes then pulled from the registry themselves.",
      unit: "reqps",
      width: 24,
      isStacked: true,
      queries: [
        {
          expr: `sum by (status) (rate(entrepot_requests_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "{{status}}",
        },
      ],
    },
  ],
};

export const REGISTRIES: Row = {
  title: "Registries",
  panels: [
    {
      kind: "status-history",
      title: "Addresses that fail",
      description: "Where the circuit breaker of an address is open, it is not asked.",
      unit: "bool_yes_no",
      width: 12,
      steps: [
        { value: null, color: "green" },
        { value: 1, color: "red" },
      ],
      queries: [
        {
          expr: `max by (upstream, host) (entrepot_upstream_circuit_open{${UPSTREAM}})`,
          legend: "{{upstream}} {{host}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Requests to registries",
      description: "By status; failed, aborted and unsent are requests without a response.",
      unit: "reqps",
      width: 12,
      isStacked: true,
      queries: [
        {
          expr: `sum by (upstream, status) (rate(entrepot_upstream_requests_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "{{upstream}} {{status}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Budget left",
      description:
        "Requests that a registry still allows in its window, by its rate-limit headers.",
      unit: "short",
      width: 8,
      queries: [
        {
          expr: `min by (upstream) (entrepot_upstream_budget_remaining{${UPSTREAM}})`,
          legend: "{{upstream}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Limited for (429)",
      description: "Seconds until a registry is asked again after it refused with 429.",
      unit: "s",
      width: 8,
      queries: [
        {
          expr: `max by (upstream) (entrepot_upstream_rate_limited_seconds{${UPSTREAM}})`,
          legend: "{{upstream}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Downloads in progress",
      description: "Blobs that are being downloaded, and the connections that it takes.",
      unit: "short",
      width: 8,
      queries: [
        { expr: `sum(entrepot_fills_active{${CACHE}})`, legend: "downloads" },
        { expr: `sum(entrepot_fill_connections{${CACHE}})`, legend: "connections" },
      ],
    },
    {
      kind: "timeseries",
      title: "Downloads by result",
      description: "Blobs that were stored, and why others were not.",
      unit: "ops",
      width: 12,
      isStacked: true,
      queries: [
        {
          expr: `sum by (result) (rate(entrepot_fills_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "{{result}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Ready without their registry",
      description:
        "The part of the wanted images that could be pulled whole if their registry did not answer.",
      unit: "percentunit",
      width: 12,
      max: 1,
      queries: [
        {
          expr: `min by (upstream) (entrepot_readiness_ratio{${UPSTREAM}})`,
          legend: "{{upstream}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Nodes by wiring",
      description: "By what they reported last; unknown without a report.",
      unit: "short",
      width: 12,
      isStacked: true,
      queries: [{ expr: `sum by (wiring) (entrepot_nodes{${CACHE}})`, legend: "{{wiring}}" }],
    },
    {
      kind: "timeseries",
      title: "Downloaded ahead, and asked for",
      description:
        "Layers that were downloaded before a client asked for them, and those that one then did.",
      unit: "ops",
      width: 12,
      queries: [
        {
          expr: `sum(rate(entrepot_prefetched_blobs_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "downloaded",
        },
        {
          expr: `sum(rate(entrepot_prefetched_blobs_asked_total{${UPSTREAM}}[${WINDOW}]))`,
          legend: "asked for",
        },
      ],
    },
  ],
};

export const STORE: Row = {
  title: "Store",
  panels: [
    {
      kind: "timeseries",
      title: "Held, and the limit",
      description:
        "What blobs, partial downloads and metadata take on the disk, and storage.maxSize.",
      unit: "bytes",
      width: 12,
      queries: [
        { expr: `sum(entrepot_storage_blob_bytes{${CACHE}})`, legend: "blobs" },
        { expr: `sum(entrepot_storage_partial_bytes{${CACHE}})`, legend: "partial downloads" },
        { expr: `sum(entrepot_storage_metadata_bytes{${CACHE}})`, legend: "metadata" },
        { expr: `sum(entrepot_storage_max_bytes{${CACHE}})`, legend: "limit" },
      ],
    },
    {
      kind: "timeseries",
      title: "Removed by reason",
      description: "max-size is eviction for want of space.",
      unit: "Bps",
      width: 12,
      isStacked: true,
      queries: [
        {
          expr: `sum by (reason) (rate(entrepot_removed_bytes_total{${CACHE}}[${WINDOW}]))`,
          legend: "{{reason}}",
        },
      ],
    },
    {
      kind: "status-history",
      title: "Nothing can be stored",
      description: "Pulls are streamed from the registries then.",
      unit: "bool_yes_no",
      width: 8,
      steps: [
        { value: null, color: "green" },
        { value: 1, color: "red" },
      ],
      queries: [{ expr: `entrepot_storage_full{${CACHE}}`, legend: "{{instance}}" }],
    },
    {
      kind: "timeseries",
      title: "Served, but not stored",
      description: "Each of them is downloaded again with the next pull.",
      unit: "ops",
      width: 8,
      queries: [
        {
          expr: `sum by (kind) (rate(entrepot_unstored_responses_total{${CACHE}}[${WINDOW}]))`,
          legend: "{{kind}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Corrupt and unreadable blobs",
      description: "Found since the start. They are downloaded again.",
      unit: "short",
      width: 8,
      queries: [
        { expr: `sum(entrepot_corrupt_blobs_total{${CACHE}})`, legend: "corrupt" },
        { expr: `sum(entrepot_unreadable_blobs{${CACHE}})`, legend: "unreadable now" },
      ],
    },
  ],
};
