import { expect, test } from "bun:test";
import { VerdictsFirst } from "./verdicts-first.ts";

test("writes are put off while a verdict is waited for, and come before none once it is there", async () => {
  const verdicts = new VerdictsFirst({ restMs: 0 });
  const order: string[] = [];
  const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const runs = [one, two].map(({ promise }, at) =>
    verdicts.run(async () => {
      await promise;
      order.push(`verdict ${at}`);
    }),
  );
  const written = verdicts.over().then(() => order.push("write"));
  one.resolve();
  await runs[0];
  two.resolve();
  await Promise.all([...runs, written]);
  expect(order).toEqual(["verdict 0", "verdict 1", "write"]);
});

test("without a verdict that is waited for, or after one that failed, nothing is put off", async () => {
  const verdicts = new VerdictsFirst({ restMs: 60_000 });
  await verdicts.over();
  const failing = verdicts.run(() => Promise.reject(new Error("no")));
  expect(await failing.catch(String)).toBe("Error: no");
  await verdicts.over();
});

test("verdicts without end put writes off for a while only", async () => {
  const verdicts = new VerdictsFirst({ restMs: 0, maxMs: 10 });
  const endless = Promise.withResolvers<void>();
  const running = verdicts.run(() => endless.promise);
  await verdicts.over();
  endless.resolve();
  await running;
});
