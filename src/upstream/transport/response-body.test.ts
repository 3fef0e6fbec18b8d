import { expect, test } from "bun:test";
import { Fault } from "../../oci/fault.ts";
import { type BodyEnd, watchBody } from "./response-body.ts";

const reset = new Fault({ kind: "upstream-unreachable", upstream: "reg.test", reason: "reset" });

/** How a body ends that breaks after bytes that arrived before, and during so many milliseconds of back pressure. */
async function endOf(heldBack: number): Promise<BodyEnd> {
  const ended = Promise.withResolvers<BodyEnd>();
  let reads = 0;
  const body = watchBody(
    {
      heldBack: 0,
      async read() {
        reads += 1;
        if (reads === 2) Object.assign(this, { heldBack });
        if (reads > 2) throw new Error("ECONNRESET");
        return { done: false, value: new Uint8Array(10) };
      },
      async cancel() {},
    },
    {
      upstream: "reg.test",
      stallTimeout: 30_000,
      controller: new AbortController(),
      toFault: async () => reset,
      onEnd: ended.resolve,
    },
  );
  await new Response(body).bytes().catch(() => undefined);
  return ended.promise;
}

test("a server is blamed for a broken body, unless this machine did not read it for long", async () => {
  expect(await endOf(9000)).toEqual({ bytes: 20, outcome: "broken", fault: reset });
  expect(await endOf(11_000)).toEqual({ bytes: 20, outcome: "broken" });
});

test("a body that is too slow is cancelled, since its last bytes may be lent", async () => {
  let cancelled = 0;
  const body = watchBody(
    {
      heldBack: 0,
      async read() {
        // As if it had taken a minute.
        Object.assign(this, { heldBack: -60_000 });
        return { done: false, value: new Uint8Array(10) };
      },
      async cancel() {
        cancelled += 1;
      },
    },
    {
      upstream: "reg.test",
      stallTimeout: 30_000,
      controller: new AbortController(),
      toFault: async (cause) => (cause instanceof Fault ? cause : reset),
      onEnd() {},
    },
  );
  const reading = new Response(body).bytes().catch((error: unknown) => error);
  expect(await reading).toMatchObject({ detail: { kind: "upstream-timeout" } });
  expect(cancelled).toBe(1);
});
