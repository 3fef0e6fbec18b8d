import { expect, test } from "bun:test";
import { Overrides } from "../../../cache/tag-policy/overrides.ts";
import { TagOrders } from "../../../cache/tag-policy/tag-orders.ts";
import { Fault } from "../../../oci/fault.ts";
import type { Override } from "../../../store/override-store.ts";
import { digestNumber } from "../../../store/storetest/sample-names.ts";
import { Failures } from "../failures.ts";
import { Router } from "../router.ts";
import { authorOf, overrideOperations } from "./overrides.ts";

const digest = digestNumber(1);

/** The operations of a cache that cannot write while `state.isFull`. */
async function api() {
  const state = { isFull: false };
  const told: Override[] = [];
  const overrides = await Overrides.open({
    list: async () => [],
    async put() {
      if (state.isFull) throw new Fault({ kind: "no-space", reason: "the disk is full" });
    },
  });
  const orders = new TagOrders({
    overrides,
    accounts: { of: async () => ({ image: "reg.test/app:1", stays: [], overrides: [] }) },
    isStored: async () => true,
  });
  const onOrder = (override: Override): void => void told.push(override);
  const operations = overrideOperations({ overrides, orders, onOrder, proven: () => "a token" });
  const router = new Router(operations, new Failures({ error: () => {} }));
  const send = async (path: string, body?: object) => {
    const request = new Request(`http://cache.test/api/v1${path}`, {
      method: body ? "POST" : "GET",
      headers: { "content-type": "application/json" },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const response = await router.respond(request);
    return { status: response.status, body: await response.json() };
  };
  return { state, told, send };
}

const HOLD = {
  kind: "hold",
  image: `reg.test/app@${digest}`,
  reason: "it is bad",
  claim: "ann@ops",
};

test("an order that cannot be kept is answered with 503, and nothing is done or told", async () => {
  const { state, told, send } = await api();
  state.isFull = true;
  expect(await send("/overrides", HOLD)).toMatchObject({
    status: 503,
    body: { detail: expect.stringContaining("what is served stays as it is") },
  });
  expect((await send("/overrides")).body).toEqual({ items: [] });
  expect(told).toEqual([]);
  state.isFull = false;
  const ordered = await send("/overrides", HOLD);
  const [override] = ordered.body.overrides;
  expect([ordered.status, override.by]).toEqual([200, "ann@ops (as claimed, with a token)"]);
  state.isFull = true;
  const path = `/overrides/${override.id}/end`;
  expect((await send(path, { reason: "over" })).status).toBe(503);
  expect((await send("/overrides?active=true")).body.items).toHaveLength(1);
  state.isFull = false;
  expect((await send(path, { reason: "over" })).body.overrides).toMatchObject([
    { isActive: false, ended: { by: "a token", reason: "over" } },
  ]);
  expect((await send(path, { reason: "over" })).status).toBe(409);
  expect(told.map(({ ended }) => ended !== undefined)).toEqual([false, true]);
});

test("a dry run changes nothing, and what is only claimed, or cannot be shown, is told as that", async () => {
  const { told, send } = await api();
  const dry = await send("/overrides", { ...HOLD, dryRun: true });
  expect([dry.status, dry.body.dryRun, dry.body.overrides.length]).toEqual([200, true, 1]);
  expect((await send("/overrides")).body).toEqual({ items: [] });
  expect(told).toEqual([]);
  for (const claim of ["\u001b[31mann", "a\nb", "", "x".repeat(101)]) {
    expect((await send("/overrides", { ...HOLD, claim })).status).toBe(400);
  }
  expect([
    authorOf(undefined, undefined),
    authorOf("ann@ops", undefined),
    authorOf(undefined, "the admin token"),
  ]).toEqual(["somebody at the admin port", "ann@ops (as claimed)", "the admin token"]);
});
