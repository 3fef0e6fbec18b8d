import { formatSize } from "../../config/parsing/units.ts";
import { secondsText } from "../../oci/seconds-text.ts";
import { printable } from "../../printable.ts";
import type { Status } from "../../api/status.ts";
import { ago, counted, duration, table } from "../table.ts";

type Cluster = NonNullable<Status["cluster"]>;

/** More replicas would push everything else off the screen: those that are not living come first. */
const MAX_MEMBERS = 16;
const STATE_ORDER = { this: 0, unusable: 1, silent: 2, living: 3 } as const;
/** What is wrong with one that answers. */
const UNUSABLE: Readonly<Record<string, string>> = {
  "wrong-secret": "other secret",
  "foreign-member": "no replica",
  "member-certificate": "bad certificate",
  clock: "other clock",
};

/** How this replica is connected to the others, and the others: a paragraph each. */
export function clusterText(cluster: Cluster, now: number): string[] {
  const lines = [
    `Cluster    ${membersText(cluster)}`,
    ...(cluster.ledger ? [`Ledger     ${ledgerText(cluster.ledger, now)}`] : []),
    ...(cluster.store ? [`Shared     ${storeText(cluster.store, now)}`] : []),
  ];
  return [lines.join("\n"), memberTable(cluster, now)];
}

function membersText({ members, leader }: Cluster): string {
  const count = (which: string): number => members.filter(({ state }) => state === which).length;
  const [silent, unusable] = [count("silent"), count("unusable")];
  const versions = new Set(members.flatMap(({ version }) => version ?? []));
  return [
    counted(members.length, "replica"),
    ...(silent + unusable === 0 ? ["all living"] : []),
    ...(silent > 0 ? [`${silent} silent`] : []),
    ...(unusable > 0 ? [`${unusable} unusable`] : []),
    ...(versions.size > 1 ? [`${versions.size} versions`] : []),
    ...(leader ? [leader.isThis ? "led by this one" : `led by ${leader.id}`] : []),
  ].join(", ");
}

function ledgerText(ledger: NonNullable<Cluster["ledger"]>, now: number): string {
  const { state, since, name, lag, untold } = ledger;
  const age = lag < 60_000 ? secondsText(lag / 1000) : duration(lag / 1000);
  return [
    stateText(name, state, since, now),
    state === "up" ? `${age} behind` : `last read ${age} ago`,
    `${counted(untold, "fact")} to tell`,
  ].join(", ");
}

function storeText(store: NonNullable<Cluster["store"]>, now: number): string {
  const { state, since, name, backlog, usedBytes, blobs, maxSize } = store;
  const limit = maxSize === undefined ? "" : ` of ${formatSize(maxSize)}`;
  return [
    stateText(name, state, since, now),
    ...(usedBytes === undefined ? [] : [`${formatSize(usedBytes)}${limit} used`]),
    ...(blobs === undefined ? [] : [counted(blobs, "blob")]),
    `${counted(backlog, "blob")} to write`,
  ].join(", ");
}

/** `postgres.example/entrepot: up for 3 d` */
function stateText(name: string, state: string, since: number, now: number): string {
  return `${name}: ${state} for ${duration((now - since) / 1000)}`;
}

function memberTable({ members }: Cluster, now: number): string {
  const columns = [
    { title: "REPLICA" },
    { title: "STATE" },
    { title: "VERSION" },
    { title: "LAST SEEN" },
  ];
  const shown = members
    .toSorted((one, other) => STATE_ORDER[one.state] - STATE_ORDER[other.state])
    .slice(0, MAX_MEMBERS);
  const rows = shown.map(({ id, state, problem = "", version, seenAt }) => [
    // Others say their addresses and versions themselves.
    printable(id),
    state === "this" ? "this one" : (UNUSABLE[problem] ?? state),
    printable(version ?? "-"),
    state === "this" ? "-" : seenAt === undefined ? "never" : ago(seenAt, now),
  ]);
  const more = members.length - shown.length;
  return table(columns, rows) + (more > 0 ? `\n… and ${more} more` : "");
}
