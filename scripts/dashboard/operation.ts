import type { Row } from "./panel.ts";
import { CACHE, ratio, SERVED, UPSTREAM, WINDOW } from "./selectors.ts";

const RED_ABOVE_ZERO = [
  { value: null, color: "green" },
  { value: 1e-9, color: "red" },
];
const USED = `(entrepot_storage_blob_bytes{${CACHE}} + entrepot_storage_partial_bytes{${CACHE}} + entrepot_storage_metadata_bytes{${CACHE}})`;
const YEAR = 365 * 86_400;

/** What an operator asks first. */
export const GLANCE: Row = {
  title: "At a glance",
  panels: [
    {
      kind: "stat",
      title: "Saved",
      description:
        "Bytes that clients got and that were not downloaded for it, in this time range.",
      unit: "bytes",
      width: 4,
      queries: [
        { expr: `sum(increase(entrepot_saved_bytes_total{${UPSTREAM}}[$__range]))`, legend: "" },
      ],
    },
    {
      kind: "stat",
      title: "Hit ratio by bytes",
      description: "The part of the bytes sent to clients that was not downloaded for it.",
      unit: "percentunit",
      width: 4,
      max: 1,
      queries: [
        {
          expr: ratio(
            `sum(increase(entrepot_saved_bytes_total{${UPSTREAM}}[$__range]))`,
            `sum(increase(entrepot_response_bytes_total{${UPSTREAM}}[$__range]))`,
          ),
          legend: "",
        },
      ],
    },
    {
      kind: "stat",
      title: "Hit ratio by requests",
      description: "The part of the requests that was answered from the cache.",
      unit: "percentunit",
      width: 4,
      max: 1,
      queries: [
        {
          expr: ratio(
            `sum(increase(entrepot_cache_requests_total{${UPSTREAM}, ${SERVED}}[$__range]))`,
            `sum(increase(entrepot_cache_requests_total{${UPSTREAM}, result!="bypass"}[$__range]))`,
          ),
          legend: "",
        },
      ],
    },
    {
      kind: "stat",
      title: "Least budget left",
      description:
        "The requests that the registry with the fewest still allows, as a part of its limit. None where no registry tells.",
      unit: "percentunit",
      width: 4,
      max: 1,
      steps: [
        { value: null, color: "red" },
        { value: 0.1, color: "orange" },
        { value: 0.3, color: "green" },
      ],
      queries: [
        {
          expr: `min(${ratio(
            `entrepot_upstream_budget_remaining{${UPSTREAM}}`,
            `entrepot_upstream_budget_limit{${UPSTREAM}}`,
          )})`,
          legend: "",
        },
      ],
    },
    {
      kind: "stat",
      title: "Stale answers",
      description:
        "Tags that were answered without a check, since their registry could not be asked.",
      unit: "short",
      width: 4,
      steps: RED_ABOVE_ZERO,
      queries: [
        {
          expr: `sum(increase(entrepot_cache_requests_total{${UPSTREAM}, result="stale"}[$__range])) or vector(0)`,
          legend: "",
        },
      ],
    },
    {
      kind: "stat",
      title: "The disk lasts for",
      description:
        "When the store reaches its limit and evicts, if it grows on as in the last six hours; a year at most.",
      unit: "s",
      width: 4,
      queries: [
        {
          expr: `min(clamp((entrepot_storage_max_bytes{${CACHE}} - ${USED}) / clamp_min(deriv(entrepot_storage_blob_bytes{${CACHE}}[6h]), 1), 0, ${YEAR}))`,
          legend: "",
        },
      ],
    },
  ],
};

export const MACHINE: Row = {
  title: "The cache's machine",
  panels: [
    {
      kind: "status-history",
      title: "Problems",
      description: "What is wrong with the machine: `entrepot status` says what to do.",
      unit: "bool_yes_no",
      width: 12,
      steps: RED_ABOVE_ZERO,
      queries: [
        { expr: `max by (problem) (entrepot_local_problem{${CACHE}})`, legend: "{{problem}}" },
      ],
    },
    {
      kind: "timeseries",
      title: "Disk operations (95 %)",
      description: "How long the disk takes to open, write and sync files, and to write metadata.",
      unit: "s",
      width: 12,
      queries: [
        {
          expr: `histogram_quantile(0.95, sum by (le, operation) (rate(entrepot_disk_operation_duration_seconds_bucket{${CACHE}}[${WINDOW}])))`,
          legend: "{{operation}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Processor",
      description: "Processors that the cache keeps busy.",
      unit: "short",
      width: 8,
      queries: [
        {
          // Another program at the same job may have such a metric, too.
          expr: `rate(process_cpu_seconds_total{${CACHE}}[${WINDOW}]) and on (job, instance) entrepot_build_info`,
          legend: "{{instance}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Memory",
      description: "Resident memory of the cache.",
      unit: "bytes",
      width: 8,
      queries: [
        {
          expr: `process_resident_memory_bytes{${CACHE}} and on (job, instance) entrepot_build_info`,
          legend: "{{instance}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "File descriptors",
      description: "Open file descriptors: each connection takes one, each download about three.",
      unit: "short",
      width: 8,
      queries: [
        {
          expr: `process_open_fds{${CACHE}} and on (job, instance) entrepot_build_info`,
          legend: "{{instance}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Versions",
      description: "How many caches run which version.",
      unit: "short",
      width: 12,
      queries: [
        { expr: `count by (version) (entrepot_build_info{${CACHE}})`, legend: "{{version}}" },
      ],
    },
    {
      kind: "timeseries",
      title: "Threads that accept connections",
      description: "Besides the main thread; 0 if that one does.",
      unit: "short",
      width: 12,
      queries: [{ expr: `entrepot_workers{${CACHE}}`, legend: "{{instance}}" }],
    },
  ],
};

/** Empty where no cluster is configured. */
export const CLUSTER: Row = {
  title: "Replicas, ledger and shared store",
  isCollapsed: true,
  panels: [
    {
      kind: "status-history",
      title: "Problems of the cluster",
      description: "As each replica sees it: `entrepot status` says what to do.",
      unit: "bool_yes_no",
      width: 12,
      steps: RED_ABOVE_ZERO,
      queries: [
        { expr: `max by (problem) (entrepot_cluster_problem{${CACHE}})`, legend: "{{problem}}" },
      ],
    },
    {
      kind: "timeseries",
      title: "Replicas",
      description: "Replicas that live and that are silent, as each sees it.",
      unit: "short",
      width: 12,
      queries: [
        {
          expr: `sum by (instance, state) (entrepot_replicas{${CACHE}})`,
          legend: "{{instance}} {{state}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Not from registries",
      description: "Bytes of blobs that came from other replicas and from the shared store.",
      unit: "Bps",
      width: 12,
      queries: [
        {
          expr: `sum by (source) (rate(entrepot_source_bytes_total{${CACHE}}[${WINDOW}]))`,
          legend: "{{source}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Failures of replicas and of the shared store",
      description: "Requests to them that failed, after which the next source was asked.",
      unit: "ops",
      width: 12,
      queries: [
        {
          expr: `sum by (source, reason) (rate(entrepot_source_failures_total{${CACHE}}[${WINDOW}]))`,
          legend: "{{source}} {{reason}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Ledger: questions (95 %)",
      description: "How long pulls waited for an answer of the ledger; they give up after 100 ms.",
      unit: "s",
      width: 8,
      queries: [
        {
          expr: `histogram_quantile(0.95, sum by (le, result) (rate(entrepot_ledger_question_duration_seconds_bucket{${CACHE}}[${WINDOW}])))`,
          legend: "{{result}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Ledger: lag and untold facts",
      description:
        "Seconds since all that others told was read, and facts that others do not know yet.",
      unit: "short",
      width: 8,
      queries: [
        { expr: `entrepot_ledger_lag_seconds{${CACHE}}`, legend: "{{instance}} lag (s)" },
        { expr: `entrepot_ledger_outbox{${CACHE}}`, legend: "{{instance}} untold" },
      ],
    },
    {
      kind: "timeseries",
      title: "Shared store: to be written",
      description: "Blobs that are to be written to the shared store.",
      unit: "short",
      width: 8,
      queries: [{ expr: `entrepot_store_backlog{${CACHE}}`, legend: "{{instance}}" }],
    },
  ],
};
