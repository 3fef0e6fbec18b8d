import { expect, test } from "bun:test";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { until } from "../../test/harness/waiting.ts";
import { type WarmOrderRequest, warmOrderSchema } from "../api/warm.ts";
import { PendingOrders } from "./pending-orders.ts";
import { StateFile } from "./state-file.ts";

function order(...images: readonly string[]): WarmOrderRequest {
  return warmOrderSchema.parse({ images });
}

/** A process after the other, with what each has recorded. */
async function processes() {
  const dir = await tempDir();
  const path = dir.file("warm-orders.json");
  const file = new StateFile(path);
  const images = (): string[] =>
    warmOrderSchema
      .array()
      .parse(new StateFile(path).read() ?? [])
      .flatMap((one) => one.images);
  return {
    start: () => new PendingOrders(file),
    recorded: (expected: readonly string[]) =>
      until(() => Bun.deepEquals(images(), expected), {
        what: `the file to have ${expected.join(", ")}`,
        detail: () => images().join(", "),
      }),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

test("what was not done is taken over once, by the next process", async () => {
  await using at = await processes();
  const first = at.start();
  const [done, left] = [order("done:1"), order("left:1")];
  first.begun(done);
  first.begun(left);
  first.ended(done);
  await at.recorded(["left:1"]);
  const next = at.start();
  expect(next.takeOver()).toEqual([left]);
  expect(next.takeOver()).toEqual([]);
});

test("an order that comes before those of the process before are taken over takes nothing from them", async () => {
  await using at = await processes();
  at.start().begun(order("before:1"));
  await at.recorded(["before:1"]);
  const next = at.start();
  const early = order("early:1");
  next.begun(early);
  await at.recorded(["before:1", "early:1"]);
  const [taken, ...others] = next.takeOver();
  expect(taken).toEqual(order("before:1"));
  expect(others).toEqual([]);
  if (taken) next.begun(taken);
  next.ended(early);
  await at.recorded(["before:1"]);
});
