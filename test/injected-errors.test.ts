import { afterAll, beforeAll, expect } from "bun:test";
import {
  FaultPhases,
  type DiskFault,
  type Outcome,
  type Phase,
  PHASES,
} from "./harness/faults/fault-phases.ts";
import { real, realTest } from "./harness/real-components.ts";
import {
  MAKES,
  OPENS,
  READS,
  REMOVALS,
  RENAMES,
  STATS,
  SYNCS,
  WRITES,
} from "./harness/faults/system-faults.ts";

/** All phases of all faults take six minutes: only in `npm run test:long`. */
const isLong = process.env["ENTREPOT_LONG"] === "1";
/** How long the process may take to end, in seconds. */
const END_WITHIN = 20;

interface Row extends DiskFault {
  readonly name: string;
  /** What `status`, `/readyz` or the log says while pulls meet it. */
  readonly said: RegExp;
  /** What a start says that cannot go on; absent if it can. */
  readonly startFails?: RegExp;
  /** What clients may get besides all that they asked for. */
  readonly clients?: readonly string[];
}

const UNSTORABLE = /nothing can be stored/;
/**
 * Bun opens and reads a file after the handler has returned: a file that cannot be opened is answered with
 * 503, and one that cannot be read closes the connection. The next request for it goes to the registry.
 */
const UNOPENED = ["503"];
const UNREAD = ["503", "0 no-answer", "200 cut"];

const ROWS: readonly Row[] = [
  {
    name: "slow syncs",
    at: "data",
    fault: { calls: SYNCS, delay: 1000 },
    // Or nothing: a few syncs say little about a disk.
    said: /^$|^the disk is slow: /,
  },
  {
    name: "failing syncs",
    at: "data",
    fault: { calls: SYNCS, error: "EIO" },
    said: UNSTORABLE,
  },
  {
    name: "failing renames",
    at: "data",
    fault: { calls: RENAMES, error: "EIO" },
    said: UNSTORABLE,
  },
  {
    name: "an unreadable index",
    at: "metadata",
    fault: { calls: READS, error: "EIO" },
    said: /^not ready: .*disk I\/O error$/,
    startFails: /the metadata database \S+ cannot be opened: disk I\/O error/,
  },
  {
    name: "unreadable blobs",
    at: "blobs",
    fault: { calls: READS, error: "EIO" },
    said: /^stored blobs cannot be read, .*input\/output error/,
    clients: UNREAD,
  },
  {
    name: "unreadable attributes of blobs",
    at: "blobs",
    fault: { calls: STATS, error: "EIO" },
    said: /^stored blobs cannot be read, .*input\/output error/,
    clients: UNOPENED,
  },
  {
    name: "no memory for attributes of blobs",
    at: "blobs",
    fault: { calls: STATS, error: "ENOMEM" },
    said: /^files of the store cannot be used: the kernel has no memory/,
    clients: UNOPENED,
  },
  {
    name: "unreadable sidecar files",
    at: "sidecars",
    fault: { calls: READS, error: "EIO" },
    said: /^metadata cannot be written, .*sidecars\/.*input\/output error/,
  },
  {
    name: "unwritable sidecar files",
    at: "sidecars",
    fault: { calls: WRITES, error: "EIO" },
    said: /^metadata cannot be written, .*sidecars\/.*input\/output error/,
  },
  {
    name: "no permission",
    at: "data",
    fault: { calls: OPENS, error: "EACCES" },
    said: /permission denied/,
    startFails: /the data directory \S+ cannot be locked/,
    clients: UNOPENED,
  },
  {
    name: "no descriptors",
    at: "data",
    fault: { calls: OPENS, error: "EMFILE" },
    said: /^files of the store cannot be used: too many open files/,
    startFails: /the data directory \S+ cannot be locked/,
    clients: UNOPENED,
  },
  {
    name: "no space",
    at: "data",
    fault: { calls: WRITES, error: "ENOSPC" },
    said: UNSTORABLE,
  },
  {
    name: "a full quota",
    at: "data",
    fault: { calls: WRITES, error: "EDQUOT" },
    said: UNSTORABLE,
  },
  {
    name: "a read-only disk",
    at: "data",
    fault: { calls: [...WRITES, ...RENAMES, ...MAKES, ...REMOVALS], error: "EROFS" },
    said: UNSTORABLE,
  },
  {
    name: "failing writes",
    at: "data",
    fault: { calls: WRITES, error: "EIO" },
    said: UNSTORABLE,
  },
  {
    name: "no new folders",
    at: "data",
    fault: { calls: MAKES, error: "EIO" },
    said: UNSTORABLE,
  },
  {
    name: "failing removals",
    at: "data",
    fault: { calls: REMOVALS, error: "EIO" },
    // Nothing else is removed while a blob is stored.
    said: /^$|evicting failed/,
  },
  {
    name: "an unmeasured disk",
    at: "data",
    fault: { calls: ["statfs", "fstatfs"], error: "EIO" },
    said: /measuring the disk failed; it will be retried/,
    startFails: /cannot measure the disk of \S+: the disk reports .* \(EIO\)/,
  },
];

const SHORT = new Set(["failing syncs, at the fill", "a full quota, at the start"]);

const table: Record<string, string | number>[] = [];
let phases: FaultPhases;

beforeAll(async () => {
  if (real.available) phases = await FaultPhases.open();
});

afterAll(async () => {
  await phases?.[Symbol.asyncDispose]();
  console.table(table);
});

for (const row of ROWS) {
  for (const phase of PHASES) {
    const name = `${row.name}, at the ${phase}`;
    if (!isLong && !SHORT.has(name)) continue;
    realTest(
      `${name}: clients are served, nothing is lost, it is said, and all is soon well`,
      async () => {
        const outcome = await phases.observe(row, phase);
        table.push(printed(row, phase, outcome));
        expect(summary(row, phase, outcome)).toEqual({
          wrong: [],
          clients: [],
          lost: [],
          // The seconds that it took, at most ten.
          well: expect.any(Number),
          isSaid: true,
        });
        expectEnd(row, phase, outcome);
      },
      120_000,
    );
  }
}

function summary(row: Row, phase: Phase, { clients, wrong, lost, said, well }: Outcome): object {
  const allowed = new Set(["200", ...(row.clients ?? [])]);
  const isExcused = (mistake: string): boolean =>
    allowed.has("0 no-answer") && mistake.endsWith("closed without a response");
  const isSaid = [...said, ""].some((text) => row.said.test(text));
  return {
    wrong: [...wrong].filter((mistake) => !isExcused(mistake)),
    clients: [...clients.keys()].filter((kind) => !allowed.has(kind)),
    lost,
    well,
    isSaid: isSaid || phase === "start" || phase === "end",
  };
}

function expectEnd(row: Row, phase: Phase, { exit, said }: Outcome): void {
  if (phase === "end") expect(exit?.code).toBe(0);
  if (phase === "start" && row.startFails) {
    expect(exit?.code).toBe(1);
    expect([...said].join("\n")).toMatch(row.startFails);
    // No stack trace.
    expect([...said].join("\n")).not.toMatch(/^ {4,}at /m);
  } else if (phase === "start") expect(exit ? [...said] : "").toEqual("");
  expect(exit?.seconds ?? 0).toBeLessThan(END_WITHIN);
}

function printed(row: Row, phase: Phase, outcome: Outcome): Record<string, string | number> {
  const { clients, lost, exit, well } = outcome;
  return {
    fault: row.name,
    phase,
    clients: [...clients].map(([kind, count]) => `${count} × ${kind}`).join(", "),
    lost: lost.length,
    exit: exit ? `${exit.code} after ${exit.seconds.toFixed(1)} s` : "",
    "well after": typeof well === "number" ? `${well.toFixed(1)} s` : well.slice(0, 80),
  };
}
