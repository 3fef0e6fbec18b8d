import { describe, expect, test } from "bun:test";
import { CredentialsRefused, Keyring } from "./keyring.ts";
import { settings } from "../upstreamtest/test-servers.ts";

const refusal = new CredentialsRefused(401, "reg.test");
const current = { username: "me", password: "new" };
const upstream = settings("https://reg.test", { credentials: current });

describe("refused credentials", () => {
  test("are retried with a growing wait and reported once", async () => {
    const clock = { now: 0 };
    const events: string[] = [];
    const observe = ({ type }: { type: string }): void => void events.push(type);
    const subject = new Keyring({ now: () => clock.now, observe });
    const retriedAt: number[] = [];
    for (; clock.now <= 3_000_000; clock.now += 1000) {
      if (!(await subject.current(upstream))) continue;
      retriedAt.push(clock.now / 1000);
      // Concurrent requests are refused together.
      for (let i = 0; i < 20; i += 1) {
        expect(await subject.refused(upstream, current, refusal)).toBeUndefined();
      }
    }
    expect(retriedAt).toEqual([0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430]);
    expect(events).toEqual(["credentials"]);
    expect(subject.status(upstream).state).toBe("refused");
  });

  test("are used again once the registry accepts them", async () => {
    const clock = { now: 0 };
    const subject = new Keyring({ now: () => clock.now });
    await subject.refused(upstream, current, refusal);
    clock.now = 10_000;
    expect(await subject.current(upstream)).toBe(current);
    // No request has tried them yet.
    expect(subject.status(upstream).state).toBe("refused");
    subject.accepted(upstream.name, { username: "me", password: "old" });
    expect(subject.status(upstream).state).toBe("refused");
    subject.accepted(upstream.name, current);
    expect(subject.status(upstream).state).toBe("ok");
  });
});
