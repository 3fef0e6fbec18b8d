import { z } from "zod";
import {
  endOverrideSchema,
  newOverrideSchema,
  type NewOverride,
  orderedSchema,
  overridesSchema,
} from "../../../api/overrides.ts";
import { queryFlag } from "../../../api/page.ts";
import type { ReplicaReach } from "../../../api/replicas.ts";
import { keepOverrides } from "../../../cache/tag-policy/keep-overrides.ts";
import { isActive, type Overrides } from "../../../cache/tag-policy/overrides.ts";
import { OrderRefused } from "../../../cache/tag-policy/order-refused.ts";
import type { OrderTerms, PreparedOrder, TagOrders } from "../../../cache/tag-policy/tag-orders.ts";
import { type ImageReference, parseImageReference } from "../../../oci/image-reference.ts";
import type { Override } from "../../../store/override-store.ts";
import { operation, type Operation } from "../operation.ts";
import { ProblemError, type ProblemStatus } from "../problem-details.ts";

export interface OverrideParts {
  readonly overrides: Pick<Overrides, "all" | "put">;
  readonly orders: TagOrders;
  /** What a request proves of who sends it, in words; undefined where nothing is asked for. */
  readonly proven: (request: Request) => string | undefined;
  /** Has other replicas do the same; absent if there are none. */
  readonly tellReplicas?: ((override: Override) => Promise<ReplicaReach>) | undefined;
  /** Called with each override that was made or ended. */
  readonly onOrder?: (override: Override) => void;
}

/** What operators decide of tags, whatever the rules say. */
export function overrideOperations(parts: OverrideParts): Operation[] {
  return [
    operation({
      id: "listOverrides",
      method: "GET",
      path: "/overrides",
      tag: "overrides",
      summary: "What operators decided of tags, the latest first: also what has ended",
      right: "read",
      query: z.strictObject({ active: queryFlag.describe("only those that hold now") }),
      answer: overridesSchema,
      handle({ query: { active } }) {
        const items = parts.overrides.all.map(itemOf);
        return { items: active ? items.filter(({ isActive: holds }) => holds) : items };
      },
    }),
    operation({
      id: "order",
      method: "POST",
      path: "/overrides",
      tag: "overrides",
      summary: "Releases, holds or rolls back an image, or freezes tags",
      description:
        "At all replicas. Refused with 404 where nothing is known of the tag, and with 409 where nothing is to be done. With 503, nothing was done: it cannot be kept.",
      right: "admin",
      body: newOverrideSchema,
      refusals: [404, 409, 503],
      answer: orderedSchema,
      handle: ({ body, request }) =>
        carryOut(parts, body.dryRun, () => prepare(parts, body, request)),
    }),
    operation({
      id: "endOverride",
      method: "POST",
      path: "/overrides/{id}/end",
      tag: "overrides",
      summary: "Ends an override before its time",
      right: "admin",
      params: z.strictObject({ id: z.string().max(100) }),
      body: endOverrideSchema,
      refusals: [404, 409, 503],
      answer: orderedSchema,
      handle: ({ params: { id }, body: { reason, claim }, request }) =>
        carryOut(parts, false, () =>
          parts.orders.end(id, { reason, by: authorOf(claim, parts.proven(request)) }),
        ),
    }),
  ];
}

/** An override as it is told. */
export function itemOf(override: Override) {
  const { stamp: _, ...told } = override;
  return { ...told, isActive: isActive(override, Date.now()) };
}

function prepare(
  { orders, proven }: OverrideParts,
  body: NewOverride,
  request: Request,
): PreparedOrder | Promise<PreparedOrder> {
  const { reason, until, claim } = body;
  const terms: OrderTerms = { reason, until, by: authorOf(claim, proven(request)) };
  switch (body.kind) {
    case "release":
      return orders.release(imageOf(body.image), { ...terms, isUnverified: body.isUnverified });
    case "hold":
      return orders.hold(imageOf(body.image), terms);
    case "rollback":
      return orders.rollback(imageOf(body.image), body.to, terms);
    case "freeze":
      return orders.freeze(body.pattern, body.asOf, terms);
  }
}

async function carryOut(
  { overrides, tellReplicas, onOrder }: OverrideParts,
  dryRun: boolean,
  prepared: () => PreparedOrder | Promise<PreparedOrder>,
) {
  try {
    const order = await prepared();
    if (!dryRun) await keepOverrides(overrides, order.puts);
    const { puts, notes, stay } = order;
    const told = {
      overrides: puts.map(itemOf),
      notes,
      dryRun,
      ...(stay
        ? { stay: { firstSeen: stay.firstSeen, lastSeen: stay.lastSeen, isStored: stay.isStored } }
        : {}),
    };
    if (dryRun) return told;
    let reach: ReplicaReach | undefined;
    for (const override of puts) {
      onOrder?.(override);
      reach = await tellReplicas?.(override);
    }
    return { ...told, ...(reach ? { replicas: reach } : {}) };
  } catch (error) {
    if (error instanceof OrderRefused) throw problemOf(error);
    throw error;
  }
}

const STATUSES: Readonly<Record<OrderRefused["kind"], ProblemStatus>> = {
  invalid: 400,
  none: 404,
  conflict: 409,
  "not-kept": 503,
};

function problemOf(error: OrderRefused): ProblemError {
  const { kind, reason: detail, next } = error;
  return new ProblemError({ status: STATUSES[kind], detail, next }, { cause: error });
}

/** Who gives an order: what is claimed is told apart from what is proven. */
export function authorOf(claim: string | undefined, proven: string | undefined): string {
  if (claim === undefined) return proven ?? "somebody at the admin port";
  return proven === undefined ? `${claim} (as claimed)` : `${claim} (as claimed, with ${proven})`;
}

/** @throws OrderRefused */
function imageOf(text: string): ImageReference {
  const reference = parseImageReference(text);
  if (reference) return reference;
  const reason = `${JSON.stringify(text.slice(0, 200))} is not the name of an image`;
  throw new OrderRefused("invalid", reason, "write it as docker.io/library/node:24, or node:24");
}
