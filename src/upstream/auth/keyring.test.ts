import { expect, test } from "bun:test";
import { CredentialsRefused, Keyring } from "./keyring.ts";
import { settings } from "../upstreamtest/test-servers.ts";

const refusal = new CredentialsRefused(401, "reg.test");
const mine = { username: "me", password: "new" };
const upstream = settings("https://reg.test", { credentials: mine });

test("credentials that were refused are tried again, ever later, and told once", async () => {
  const clock = { now: 0 };
  const told: string[] = [];
  const observe = ({ type }: { type: string }): void => void told.push(type);
  const subject = new Keyring({ now: () => clock.now, observe });
  const tried: number[] = [];
  for (; clock.now <= 3_000_000; clock.now += 1000) {
    if (!(await subject.current(upstream))) continue;
    tried.push(clock.now / 1000);
    // Those that are under way together are refused together.
    for (let i = 0; i < 20; i += 1) {
      expect(await subject.refused(upstream, mine, refusal)).toBeUndefined();
    }
  }
  expect(tried).toEqual([0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430]);
  expect(told).toEqual(["credentials"]);
  expect(subject.status(upstream).state).toBe("refused");
});

test("a registry that learns of new credentials a moment after their file has them soon", async () => {
  const clock = { now: 0 };
  const subject = new Keyring({ now: () => clock.now });
  await subject.refused(upstream, mine, refusal);
  clock.now = 10_000;
  expect(await subject.current(upstream)).toBe(mine);
  // Nobody has tried them yet.
  expect(subject.status(upstream).state).toBe("refused");
  subject.accepted(upstream.name, { username: "me", password: "old" });
  expect(subject.status(upstream).state).toBe("refused");
  subject.accepted(upstream.name, mine);
  expect(subject.status(upstream).state).toBe("ok");
});
