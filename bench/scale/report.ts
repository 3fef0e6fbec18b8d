import { formatFigure, markdown } from "../report.ts";
import type { Fleet } from "./fleet.ts";
import { type Bill, billOf, type Load, loadOf, mostImagesPerSecond, usesOf } from "./load.ts";
import type { Rollout, RolloutResult } from "./rollout.ts";
import type { Traffic } from "./traffic.ts";

/** One fleet, or several clusters of the same size that know nothing of each other. */
export interface Simulated {
  readonly title: string;
  readonly clusters: number;
  /** Of one cluster. */
  readonly fleet: Fleet;
  readonly traffic: Traffic & { readonly storedBytes: number };
}

const DAY = 86_400;
const [MB, GB, TB] = [1e6, 1e9, 1e12];

type Line = readonly [title: string, value: (of: Figures) => string];

interface Figures {
  readonly simulated: Simulated;
  readonly load: Load;
  readonly bill: Bill;
}

/** Of all clusters together. */
function all(read: (load: Load) => number): (of: Figures) => string {
  return ({ simulated: { clusters }, load }) => formatFigure(clusters * read(load));
}

const LOAD_LINES: readonly Line[] = [
  ["images/s, on average of a day", all((load) => load.imagesPerSecond)],
  ["sent to nodes, MB/s", all((load) => load.sentBytes / MB)],
  ["of which from the replica's own disk, %", ({ load }) => formatFigure(100 * load.hitRatio)],
  ["downloads from registries a day", all((load) => load.upstreamDownloads * DAY)],
  ["the same in GB a day", all((load) => (load.upstreamBytes * DAY) / GB)],
  ["HEADs for tags a day", all((load) => load.tagHeads * DAY)],
  ["S3: GET and HEAD/s", all((load) => load.storeGets)],
  ["S3: PUT/s", all((load) => load.storePuts)],
  ["S3: MB/s read", all((load) => load.storeGetBytes / MB)],
  ["between replicas, MB/s", all((load) => load.betweenReplicasBytes / MB)],
  ["each ledger: statements/s", ({ load }) => formatFigure(load.ledgerStatements)],
  ["each ledger: rows/s", ({ load }) => formatFigure(load.ledgerRows)],
  ["each ledger: processors", ({ load }) => formatFigure(load.ledgerCores)],
  ["each ledger: connections", ({ load }) => formatFigure(load.ledgerConnections)],
  ["fullest part in a busy hour", ({ simulated, load }) => fullest(simulated.fleet, load)],
  [
    "images/s until a part that grows with them is full",
    ({ simulated: { fleet, clusters }, load }) =>
      formatFigure(clusters * mostImagesPerSecond(load, usesOf(fleet, load))),
  ],
];

function fullest(fleet: Fleet, load: Load): string {
  const [first] = usesOf(fleet, load);
  return first ? `${first.part}, ${formatFigure(100 * first.used)} %` : "";
}

function dollars(read: (bill: Bill) => number): (of: Figures) => string {
  return ({ simulated: { clusters }, bill }) => formatFigure(clusters * read(bill));
}

const BILL_LINES: readonly Line[] = [
  ["machines of the replicas", dollars(({ replicas }) => replicas)],
  ["ledger", dollars(({ ledger }) => ledger)],
  ["S3: storage of what is new in a month", dollars(({ storage }) => storage)],
  ["S3: requests", dollars(({ requests }) => requests)],
  [
    "between zones, if two thirds of all bytes cross one",
    dollars(({ betweenZones }) => betweenZones),
  ],
  ["for comparison: the same pulls through a NAT gateway", dollars((bill) => bill.withoutCache)],
];

function tableOf(lines: readonly Line[], simulated: readonly Simulated[]): string {
  const figures = simulated.map((one) => {
    const load = loadOf(one.fleet, one.traffic);
    return { simulated: one, load, bill: billOf(one.fleet, load) };
  });
  return markdown([
    ["Replicas", ...simulated.map(({ title }) => title)],
    ...lines.map(([title, value]) => [title, ...figures.map(value)]),
  ]);
}

export function loadTable(simulated: readonly Simulated[]): string {
  return tableOf(LOAD_LINES, simulated);
}

export function billTable(simulated: readonly Simulated[]): string {
  return tableOf(BILL_LINES, simulated);
}

export interface RolloutLine {
  readonly rollout: Rollout;
  readonly byReplica: RolloutResult;
  readonly byStore: RolloutResult;
  readonly independent: RolloutResult;
}

export function rolloutTable(lines: readonly RolloutLine[]): string {
  return markdown([
    [
      "Nodes",
      "Replicas",
      "all have it on their disks, s",
      "one cluster, s",
      "one cluster, the store has it, s",
      "independent caches, s",
      "sent by the busiest replica to others, GB",
      "from the registry, GB: one cluster",
      "independent caches",
    ],
    ...lines.map(({ rollout, byReplica, byStore, independent }) =>
      [
        rollout.nodes,
        rollout.replicas,
        byReplica.leastSeconds,
        byReplica.seconds,
        byStore.seconds,
        independent.seconds,
        byReplica.relayedBytes / GB,
        byReplica.upstreamBytes / GB,
        independent.upstreamBytes / GB,
      ].map(formatFigure),
    ),
  ]);
}

/** How large the images are that were pulled, in words for the page. */
export function demandText({ traffic }: Simulated): string {
  const { images, blobs, sentBytes, storedBytes } = traffic;
  return `A pull is ${formatFigure(blobs / images)} requests for blobs and manifests and ${formatFigure(sentBytes / images / MB)} MB on average; ${formatFigure(storedBytes / TB)} TB of different blobs are pulled in two days.`;
}
