// Tests whether memory stays bounded under mixed traffic with upstreams that stall, break off and lie, and
// whether every body is right: `npm run soak:rude -- --minutes 25`; with --tls, nodes connect over TLS.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { mustRun } from "../test/harness/processes.ts";
import { runRudeTraffic, type RudeTrafficState } from "../test/harness/faults/rude-traffic.ts";

const MAX_PEAK = 150e6;

function report({ seconds, tally, memory, peak, corrupt }: RudeTrafficState): void {
  const { requests, wrong, brokenOff, bytes, statuses } = tally;
  const counts = [...statuses]
    .toSorted(([one], [other]) => one - other)
    .map(([status, count]) => `${status}: ${count}`);
  const megabytes = (size: number): string => `${(size / 1e6).toFixed(0)} MB`;
  console.log(
    `${seconds.toFixed(0)} s: ${requests} requests, ${(bytes / 1e9).toFixed(2)} GB, ${wrong} wrong, ${brokenOff} broken off (${counts.join(", ")}); ${corrupt} corrupt; memory ${megabytes(memory)}, peak ${megabytes(peak)}`,
  );
}

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "25" },
    requests: { type: "string", default: "Infinity" },
    program: { type: "string" },
    tls: { type: "boolean", default: false },
  },
});
const minutes = Number(values.minutes);
if (!Number.isFinite(minutes) || minutes <= 0) {
  console.error(`--minutes ${values.minutes} is not valid: pass a number of minutes above 0`);
  process.exit(2);
}
const program = values.program?.split(" ");
// As users run it: from its sources, the program takes some 10 MB more.
const bundle = fileURLToPath(new URL("../scripts/bundle.mjs", import.meta.url));
if (!program) await mustRun(["node", bundle]);
const { tally, peak, corrupt } = await runRudeTraffic({
  seconds: minutes * 60,
  maxRequests: Number(values.requests),
  program,
  tls: values.tls,
  report,
});
if (peak > MAX_PEAK) console.log(`its peak is above ${MAX_PEAK / 1e6} MB`);
process.exitCode = tally.wrong === 0 && corrupt === 0 && peak <= MAX_PEAK ? 0 : 1;
