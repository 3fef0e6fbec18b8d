import type { Command } from "commander";
import { formatSize } from "../../config/parsing/units.ts";
import type { Status } from "../../api/status.ts";
import { printable } from "../../printable.ts";
import { ago, counted, duration, table } from "../table.ts";
import { clusterText } from "./cluster-text.ts";
import {
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "./store-connection.ts";

type UpstreamAccess = Status["upstreams"][number]["access"];
type AddressStatus = Status["upstreams"][number]["addresses"][number];

/** What the states of a circuit breaker mean to an operator. */
const STATES = { closed: "ok", open: "down", "half-open": "retrying" } as const;

/** More downloads would push everything else off the screen. */
const MAX_FILLS = 15;

export function statusCommand(): Command {
  return storeCommand(
    "status",
    "show the store, the downloads and the upstreams; exit code 1 if there is a problem",
  ).action(async (options: StoreOptions) => {
    process.exitCode = await runStatus(options);
  });
}

function runStatus(options: StoreOptions): Promise<number> {
  return onRunning(options, async (client) => {
    const status = await client.ask(client.api.GET("/status"));
    if (options.json) printJson(status);
    else print(statusText(status, Date.now()));
    return status.problems.length === 0 ? 0 : 1;
  });
}

/** One screen, with the problems at its end, where they are seen first. */
export function statusText(status: Status, now: number): string {
  const { version, startedAt, listening, health, problems } = status;
  const uptime = duration((now - startedAt) / 1000);
  const parts = [
    `Entrepot ${version} at ${listening.listen}, admin at ${listening.admin}, up ${uptime}`,
    health.advice === undefined ? health.sentence : `${health.sentence}\n${health.advice}`,
    [storageText(status.storage), machineText(status.machine), ...rateLines(status)].join("\n"),
    fillsText(status.fills, now),
    upstreamTable(status.upstreams, now),
    addressTable(status.upstreams, now),
    ...kubernetesLines(status),
    ...heldLines(status),
    ...(status.cluster ? clusterText(status.cluster, now) : []),
    ...(health.warnings.length === 0
      ? []
      : [["Warnings:", ...health.warnings.map((warning) => `  ${warning}`)].join("\n")]),
    problems.length === 0
      ? "No problems found."
      : ["Problems:", ...problems.map((problem) => `  ${problem}`)].join("\n"),
  ];
  return parts.join("\n\n");
}

function storageText(storage: Status["storage"]): string {
  const { blobs, usedBytes, partialBytes, pinnedBytes, maxSize, minFree, free, isFull } = storage;
  const { databaseBytes, sidecarBytes, inodes } = storage;
  const part = maxSize === 0 ? 0 : Math.round((100 * usedBytes) / maxSize);
  const details = [
    counted(blobs, "blob"),
    `${formatSize(partialBytes)} downloading`,
    `${formatSize(pinnedBytes)} pinned`,
  ];
  const disk = [
    free === undefined ? "free space unknown" : `${formatSize(free)} free`,
    `${formatSize(minFree)} kept free`,
    isFull ? "FULL" : "not full",
    ...(inodes ? [`${inodes.free} of ${inodes.total} inodes free`] : []),
  ];
  return [
    `Store      ${storage.dataDirectory}`,
    `           ${formatSize(usedBytes)} of ${formatSize(maxSize)} used (${part} %): ${details.join(", ")}`,
    `           of which ${formatSize(databaseBytes)} metadata database, ${formatSize(sidecarBytes)} sidecar files`,
    `Disk       ${disk.join(", ")}`,
  ].join("\n");
}

function machineText({ memory, fileDescriptors, fileDescriptorLimit }: Status["machine"]): string {
  const { limit, resident, received, receivedNow, downloads } = memory;
  const caches = memory.manifests + memory.lists + memory.smallBlobs + memory.responses;
  const parts = [
    `${formatSize(caches)} for caches`,
    `${formatSize(received)} for bytes that are not written yet (${formatSize(receivedNow)} now)`,
    `${downloads} downloads at once`,
  ];
  const ofLimit = fileDescriptorLimit === undefined ? "" : ` of ${fileDescriptorLimit}`;
  return [
    `Memory     ${formatSize(resident)} of ${formatSize(limit)} used: ${parts.join(", ")}`,
    `Files      ${fileDescriptors}${ofLimit} descriptors open`,
  ].join("\n");
}

function fillsText(fills: Status["fills"], now: number): string {
  if (fills.length === 0) return "Downloads  none in progress";
  const columns = [
    { title: "DOWNLOAD" },
    { title: "SIZE", right: true },
    { title: "DONE", right: true },
    { title: "SPEED", right: true },
    { title: "TIME LEFT", right: true },
    { title: "CLIENTS", right: true },
    { title: "CONNECTIONS", right: true },
  ];
  const rows = fills
    .slice(0, MAX_FILLS)
    .map(({ digest, source, size, received, resumedBytes, since, clients, connections }) => {
      const seconds = Math.max(0.001, (now - since) / 1000);
      const speed = (received - resumedBytes) / seconds;
      const left = size === undefined || speed === 0 ? "-" : duration((size - received) / speed);
      return [
        `${source}@${digest.slice(0, 19)}…`,
        size === undefined ? "-" : formatSize(size),
        size === undefined ? formatSize(received) : `${percent(received, size)} %`,
        `${formatSize(Math.round(speed))}/s`,
        left,
        String(clients),
        String(connections),
      ];
    });
  const more = fills.length - rows.length;
  return table(columns, rows) + (more > 0 ? `\n… and ${more} more` : "");
}

/** The cluster whose images are wanted. Why it cannot be read is among the problems. */
function kubernetesLines({ kubernetes }: Status): string[] {
  if (!kubernetes) return [];
  const { address, isCurrent, isRead = true, problem, images, kept } = kubernetes;
  if (!isRead) {
    const why = problem === undefined ? "" : `: ${printable(problem)}`;
    return [`Kubernetes ${address}: not read yet${why}`];
  }
  const state = isCurrent ? "" : ", as it was last known";
  return [`Kubernetes ${address}: ${counted(images, "image")}, ${kept} kept${state}`];
}

function heldLines({ held }: Status): string[] {
  if (!held) return [];
  const { tags, unverified } = held;
  const parts = [
    `${counted(tags, "tag is", "tags are")} not served as the registry says`,
    `the signatures of ${counted(unverified, "digest")} fail`,
  ];
  return [`Held       ${parts.join(", ")}: entrepot history lists them`];
}

/** What comes from all upstreams, and from those with a limit of their own. */
function rateLines({ rate, upstreams }: Status): string[] {
  const limited = upstreams.filter((one) => isLimited(one.rate));
  if (!isLimited(rate) && limited.length === 0) return [];
  const all = [{ name: "all upstreams", rate }, ...limited];
  return all.map((one, index) => {
    const title = index === 0 ? "Rates      " : "           ";
    return `${title}${one.name}: ${describeRate(one.rate)}`;
  });
}

/** Whether there is a limit, now or at another time of day. */
function isLimited({ limit, until }: Status["rate"]): boolean {
  return limit !== undefined || until !== undefined;
}

/** `3.1 MiB/s, at most 20 MiB/s until 18:00` */
function describeRate({ used, limit, until }: Status["rate"]): string {
  const most = limit === undefined ? "no limit" : `at most ${formatSize(limit)}/s`;
  const end = until === undefined ? "" : ` until ${until}`;
  return `${formatSize(used)}/s, ${most}${end}`;
}

function upstreamTable(upstreams: Status["upstreams"], now: number): string {
  const columns = [
    { title: "UPSTREAM" },
    { title: "STATE" },
    { title: "RESPONSES", right: true },
    { title: "HIT RATE", right: true },
    { title: "SENT", right: true },
    { title: "SAVED", right: true },
    { title: "ACCESS" },
    { title: "CREDENTIALS" },
    { title: "PREFETCH" },
  ];
  const rows = upstreams.map(({ name, state, traffic, access, credentials, prefetch }) => [
    name,
    state,
    String(traffic.responses),
    traffic.hitRatio === undefined ? "-" : `${percent(traffic.hitRatio, 1)} %`,
    formatSize(traffic.sentBytes),
    formatSize(traffic.savedBytes),
    accessText(access),
    credentialsText(credentials.state, access),
    prefetchText(prefetch, now),
  ]);
  return table(columns, rows);
}

function accessText({ mode, entries }: UpstreamAccess): string {
  return mode === "mixed" ? `mixed (${counted(entries, "entry", "entries")})` : mode;
}

const USES = {
  nothing: "unused",
  public: "public images",
  all: undefined,
  others: "other images",
  "others-and-public": "public and other images",
} as const;

/** `ok: public images`; others are those without `access: upstream`. */
function credentialsText(state: string, { credentialsFor }: UpstreamAccess): string {
  const use = credentialsFor && USES[credentialsFor];
  return use === undefined ? state : `${state}: ${use}`;
}

/** `38 of 40 asked for` */
function prefetchText(
  { state, pausedUntil, downloaded, asked }: Status["upstreams"][number]["prefetch"],
  now: number,
): string {
  if (state === "off") return "off";
  const used = `${asked} of ${downloaded} asked for`;
  if (pausedUntil === undefined) return downloaded === 0 ? "-" : used;
  return `paused for ${duration(Math.max(0, (pausedUntil - now) / 1000))}: ${used}`;
}

function addressTable(upstreams: Status["upstreams"], now: number): string {
  const columns = [
    { title: "ADDRESS" },
    { title: "STATE" },
    { title: "RATE LIMIT" },
    { title: "LAST ERROR" },
  ];
  const rows = upstreams.flatMap(({ addresses }) =>
    addresses.map((address) => {
      const { url, circuit, since, failure, lastError } = address;
      const isFailing = since !== undefined || failure !== undefined;
      const state = circuit === "closed" && isFailing ? "failing" : STATES[circuit];
      return [
        url.replace(/\/$/, ""),
        since === undefined ? state : `${state} for ${duration((now - since) / 1000)}`,
        rateLimitText(address, now),
        lastError ? `${ago(lastError.at, now)}: ${lastError.message}` : "-",
      ];
    }),
  );
  return table(columns, rows);
}

/** `76 of 100 left per 6 h` */
function rateLimitText({ budget, rateLimitedUntil }: AddressStatus, now: number): string {
  const seconds = rateLimitedUntil === undefined ? 0 : (rateLimitedUntil - now) / 1000;
  if (seconds > 0) return `limited for ${duration(seconds)}`;
  if (!budget) return "-";
  const limit = budget.limit === undefined ? "" : ` of ${budget.limit}`;
  return `${budget.remaining}${limit} left per ${duration(budget.window)}`;
}

/** In whole percents, rounded down: only all of it is 100 %. */
function percent(part: number, total: number): number {
  return total === 0 ? 100 : Math.floor((100 * part) / total);
}
