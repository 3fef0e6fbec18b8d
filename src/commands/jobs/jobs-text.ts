import type { Job, Progress } from "../../api/jobs.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { printable } from "../../printable.ts";
import { ago, table } from "../table.ts";

const COLUMNS = [
  { title: "ID" },
  { title: "STATE" },
  { title: "STARTED" },
  { title: "PROGRESS" },
  { title: "JOB" },
];
/** As much of an id as tells 64 jobs apart. */
const SHOWN = 8;

/** The jobs as a table: those that run, and those that have ended. */
export function jobsText(jobs: readonly Job[], now: number = Date.now()): string {
  if (jobs.length === 0) return "No jobs since the start of the cache.";
  const rows = jobs.map(({ id, state, outcome, startedAt, progress, title, ...ended }) => [
    id.slice(0, SHOWN),
    outcome ?? state,
    ago(startedAt, now),
    progressText(progress) || "-",
    printable([title, ended.problem?.detail ?? ended.shortfall ?? ""].filter(Boolean).join(": ")),
  ]);
  return table(COLUMNS, rows);
}

/** `3 of 12 images, 40 of 120 blobs, 1.2 GiB of 40 GiB; waits for …` */
function progressText({ done = {}, of = {}, note }: Progress): string {
  const counts = (["images", "blobs"] as const).flatMap((what) => {
    const [made, all] = [done[what], of[what]];
    if (made === undefined) return [];
    return [all === undefined ? `${made} ${what}` : `${made} of ${all} ${what}`];
  });
  const bytes = done.bytes === undefined ? [] : [sizeText(done.bytes, of.bytes)];
  const amounts = [...counts, ...bytes].join(", ");
  return [amounts, ...(note === undefined ? [] : [printable(note)])].filter(Boolean).join("; ");
}

function sizeText(bytes: number, all: number | undefined): string {
  return formatSize(bytes) + (all === undefined ? "" : ` of ${formatSize(all)}`);
}
