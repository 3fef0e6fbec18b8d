import { z } from "zod";
import { historySchema, imageClientsSchema } from "../../../api/history.ts";
import { type Node, nodeReportSchema, nodeSchema } from "../../../api/nodes.ts";
import { type Overview, overviewSchema } from "../../../api/overview.ts";
import { hiddenField, pageOf, pageQuery } from "../../../api/page.ts";
import { type Pull, pullSchema } from "../../../api/pulls.ts";
import {
  type HistoryReport,
  type PeriodReport,
  type UpstreamPeriod,
} from "../../../history/history-report.ts";
import type { KnownNodes } from "../../../history/nodes/known-nodes.ts";
import type { ImageClients } from "../../../history/pulls/image-clients.ts";
import {
  imageName,
  type ImageReference,
  parseImageReference,
} from "../../../oci/image-reference.ts";
import type { ImageClient } from "../../../store/history-store.ts";
import type { MetadataStore } from "../../../store/metadata-store.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import type { EventFeed } from "../event-feed.ts";
import { operation, type Operation } from "../operation.ts";
import { ProblemError } from "../problem-details.ts";

/** Who pulled one repository. */
const MAX_CLIENTS = 500;

const image = z.string().max(700).describe("`docker.io/library/nginx:1.27`, or `nginx:1.27`");

export interface OverviewParts {
  readonly overview: () => Promise<Overview>;
  readonly feed: EventFeed;
  readonly history: HistoryReport;
  readonly metadata: Pick<MetadataStore, "history">;
  readonly nodes: KnownNodes;
  readonly clients: ImageClients;
  readonly pulls: () => Promise<readonly Pull[]>;
}

/** What operators look at: now, and in the last thirty days. */
export function overviewOperations(parts: OverviewParts): Operation[] {
  return [...liveOperations(parts), ...pastOperations(parts)];
}

function liveOperations({ overview, feed, pulls, nodes }: OverviewParts): Operation[] {
  return [
    operation({
      id: "getOverview",
      method: "GET",
      path: "/overview",
      tag: "overview",
      summary:
        "All that an operator sees first: health, savings, registries, downloads, disk, nodes, pulls",
      right: "read",
      answer: overviewSchema,
      handle: overview,
    }),
    operation({
      id: "watchEvents",
      method: "GET",
      path: "/events",
      tag: "overview",
      summary: "What happens, as server-sent events",
      right: "read",
      answer: {
        type: "text/event-stream",
        schema: z.string(),
        description:
          "Events whose data is JSON. `overview`: an `Overview`, at once and whenever it has changed, at most every two seconds. `pull`: a list of `Pull`, those that have begun or changed. `job`: a `Job` that has changed. What a slow reader does not take is left out",
      },
      refusals: [503],
      handle: ({ concealment }) => feed.open(concealment),
    }),
    operation({
      id: "listPulls",
      method: "GET",
      path: "/pulls",
      tag: "pulls",
      summary: "The last pulls, the newest first, each with why it was no hit",
      right: "read",
      answer: z.object({ items: z.array(pullSchema), hidden: hiddenField }).meta({ id: "Pulls" }),
      handle: async () => ({ items: await pulls() }),
    }),
    operation({
      id: "listNodes",
      method: "GET",
      path: "/nodes",
      tag: "nodes",
      summary: "Who pulls, with what, and how it is wired",
      description: "Ordered by address. Nodes tell of their wiring if they are asked to.",
      right: "read",
      query: z.strictObject(pageQuery),
      answer: z.object(pageOf(nodeSchema)).meta({ id: "NodesPage" }),
      refusals: [400],
      handle: ({ query }) => nodesPage(nodes.all, query),
    }),
    operation({
      id: "reportNode",
      method: "POST",
      path: "/nodes",
      tag: "nodes",
      summary: "Tells how a node is wired, for the list of nodes",
      description:
        "What `entrepot node apply`, `verify`, `watch` and `rollback` send with `--report`. A token that may only read suffices: nodes have it, and this changes nothing but what is told of them.",
      right: "read",
      body: nodeReportSchema,
      answer: nodeSchema,
      refusals: [400],
      handle({ body: { address, name, ...told } }) {
        const now = Date.now();
        const proved = told.state === "proved" ? { provedAt: now } : {};
        return nodes.reported(address, name, { ...told, ...proved, reportedAt: now });
      },
    }),
  ];
}

function pastOperations({ history, metadata, clients, nodes }: OverviewParts): Operation[] {
  return [
    operation({
      id: "getHistory",
      method: "GET",
      path: "/history",
      tag: "history",
      summary: "What happened in the last day, week or month, by upstream",
      right: "read",
      query: z.strictObject({ period: z.enum(["day", "week", "month"]).default("day") }),
      answer: historySchema,
      async handle({ query: { period } }) {
        const report = await history.of(period);
        const { from, step } = report;
        return { from, step, saved: history.saved(report), upstreams: stepsOf(report) };
      },
    }),
    operation({
      id: "listImageClients",
      method: "GET",
      path: "/image-clients",
      tag: "history",
      summary: "Who pulled the tags of an image, the latest first",
      description: "With a tag or a digest, who pulled that. At most 500.",
      right: "read",
      query: z.strictObject({ image }),
      answer: imageClientsSchema,
      refusals: [400],
      async handle({ query, concealment }) {
        const asked = parsed(query.image);
        if (await concealment?.isPrivate(asked)) return { image: imageName(asked), items: [] };
        const stored = await metadata.history.clientsOf(asked, MAX_CLIENTS);
        const names = new Map(nodes.all.map(({ address, name }) => [address, name]));
        const hasTag = asked.digest !== undefined || /:[^/]+$/.test(query.image);
        const reference = asked.digest ?? asked.tag;
        const items = merged([...clients.of(asked), ...stored])
          .filter((one) => !hasTag || one.reference === reference)
          .map((one) => itemOf(one, names.get(one.client)));
        const { tag: _tag, digest: _digest, ...repository } = asked;
        return { image: imageName(hasTag ? asked : repository), items };
      },
    }),
  ];
}

/** @throws ProblemError */
function parsed(text: string): ImageReference {
  const reference = parseImageReference(text);
  if (reference) return reference;
  const detail = `${JSON.stringify(text.slice(0, 200))} is not the name of an image`;
  throw new ProblemError({ status: 400, detail, next: "write it as docker.io/library/nginx:1.27" });
}

function nodesPage(
  all: readonly Node[],
  { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
): { readonly items: readonly Node[]; readonly next?: string } {
  const after = cursor === undefined ? "" : decodeCursor(cursor, z.string().max(100));
  const sorted = all
    .filter(({ address }) => address > after)
    .toSorted((one, other) => (one.address < other.address ? -1 : 1));
  const items = sorted.slice(0, limit);
  const last = items.at(-1);
  return { items, ...(last && sorted.length > limit ? { next: encodeCursor(last.address) } : {}) };
}

/** What is written and what is not, the latest first. */
function merged(all: readonly ImageClient[]): readonly ImageClient[] {
  const byKey = new Map<string, ImageClient>();
  for (const one of all) {
    const key = `${one.reference} ${one.client}`;
    const { pulls = 0, pulledAt = 0 } = byKey.get(key) ?? {};
    byKey.set(key, {
      repo: one.repo,
      reference: one.reference,
      client: one.client,
      pulls: one.pulls + pulls,
      pulledAt: Math.max(one.pulledAt, pulledAt),
    });
  }
  return [...byKey.values()].toSorted((one, other) => other.pulledAt - one.pulledAt);
}

function itemOf({ client, reference, pulledAt, pulls }: ImageClient, name: string | undefined) {
  return { client, reference, pulledAt, pulls, ...(name === undefined ? {} : { name }) };
}

function stepsOf({ upstreams }: PeriodReport) {
  return [...upstreams].map(([name, { steps }]: readonly [string, UpstreamPeriod]) => ({
    name,
    requests: steps.map((step) => step.cacheable),
    fromCache: steps.map((step) => step.from_cache),
    sentBytes: steps.map((step) => step.sent_bytes),
    fetchedBytes: steps.map((step) => step.fetched_bytes),
    answered: steps.map((step) => step.answered),
    failed: steps.map((step) => step.failed),
    limited: steps.map((step) => step.limited),
    latencyMs: steps.map(({ answered, answered_ms }) =>
      answered === 0 ? null : answered_ms / answered,
    ),
  }));
}
