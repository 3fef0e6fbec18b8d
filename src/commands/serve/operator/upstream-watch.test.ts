import { expect, test } from "bun:test";
import type { NewEvent } from "../../../events/event.ts";
import type { HostStatus } from "../../../upstream/hosts.ts";
import { UpstreamWatch } from "./upstream-watch.ts";

const own: HostStatus = { url: "https://reg.test", isMirror: false, circuit: "closed" };
const limited: HostStatus = { ...own, retryAfter: 60 };
const away: HostStatus = { ...own, circuit: "open", reason: "it refuses connections" };
const mirror: HostStatus = { ...own, url: "https://mirror.test", isMirror: true };

test("what becomes of an upstream is told once", () => {
  const told: NewEvent[] = [];
  let addresses: readonly HostStatus[] | undefined = [own];
  using watch = new UpstreamWatch({
    tell: (event) => told.push(event),
    read: () => (addresses ? [{ name: "reg.test", addresses }] : []),
  });
  const seen = (now: readonly HostStatus[] | undefined): string[] => {
    addresses = now;
    watch.look();
    watch.look();
    return told.splice(0).map(({ type, data }) => `${type}: ${data.message}`);
  };
  const outage =
    "upstream.unavailable: reg.test is unavailable (it refuses connections): what is stored is served without it";
  const limit =
    "upstream.limited: reg.test is rate limiting this cache: tags are served as they were last known";
  const recovered = "upstream.recovered: reg.test answers again";
  expect([
    seen([own]),
    seen([away]),
    seen([limited]),
    // A circuit that is tried again is not closed yet.
    seen([{ ...away, circuit: "half-open" }]),
    seen([own]),
    // Its mirror is enough.
    seen([mirror, away]),
    seen([away]),
    // It is not configured any more.
    seen(undefined),
    seen([own]),
  ]).toEqual([[], [outage], [limit], [outage], [recovered], [], [outage], [], []]);
});
