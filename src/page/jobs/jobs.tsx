import type { JSX } from "preact";
import type { Job } from "../../api/jobs.ts";
import { Action } from "../parts/action.tsx";
import { Meter } from "../parts/charts.tsx";
import { ago, bytes, duration, integer } from "../parts/format.ts";
import { Empty, Panel, State, type Tone } from "../parts/panel.tsx";
import { Prose } from "../parts/prose.tsx";

const TONES: Readonly<Record<Job["state"] | NonNullable<Job["outcome"]>, Tone>> = {
  partly: "warn",
  running: "calm",
  cancelling: "warn",
  done: "good",
  failed: "bad",
  cancelled: "warn",
};

export function Jobs({
  jobs,
  mayChange,
  now,
}: {
  readonly jobs: readonly Job[];
  readonly mayChange: boolean;
  readonly now: number;
}): JSX.Element {
  return (
    <Panel id="jobs" title="Jobs" aside={jobs.length < 64 ? undefined : "the latest 64"}>
      {jobs.length === 0 ? (
        <Empty>
          No job since the cache started. Jobs are what takes long: <code>entrepot warm</code>,{" "}
          <code>purge</code>, <code>gc</code>, <code>fsck</code> and <code>adopt</code>, or the
          buttons of <a href="/readiness">Readiness</a> and <a href="/images">Images</a>.
        </Empty>
      ) : (
        <ul class="jobs">
          {jobs.map((job) => (
            <Row key={job.id} job={job} mayChange={mayChange} now={now} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Row({
  job,
  mayChange,
  now,
}: {
  readonly job: Job;
  readonly mayChange: boolean;
  readonly now: number;
}): JSX.Element {
  const { id, title, state, outcome = state, startedAt, endedAt, progress, problem } = job;
  const { shortfall } = job;
  const share = shareOf(progress);
  return (
    <li data-job={id}>
      <p class="name">
        {title}{" "}
        <State tone={TONES[outcome]}>{outcome === "partly" ? "partly done" : outcome}</State>
      </p>
      {state === "running" && share !== undefined ? (
        <Meter label={`${Math.round(share * 100)} % are done`} parts={[{ name: "held", share }]} />
      ) : null}
      <p class="note">
        <Prose
          text={[
            `started ${ago(startedAt, now)}`,
            ...(endedAt === undefined ? [] : [`took ${duration(endedAt - startedAt)}`]),
            ...progressTexts(progress),
          ].join(", ")}
        />
      </p>
      {problem === undefined ? null : (
        <p class="bad">
          <Prose text={`${problem.detail}: ${problem.next}`} />
        </p>
      )}
      {shortfall === undefined ? null : (
        <p class="bad">
          <Prose text={shortfall} />
        </p>
      )}
      {state === "running" && mayChange ? (
        <Action method="DELETE" path={`/jobs/${id}`}>
          Cancel
        </Action>
      ) : null}
    </li>
  );
}

function shareOf({ done, of }: Job["progress"]): number | undefined {
  for (const unit of ["bytes", "blobs", "images"] as const) {
    const total = of?.[unit];
    if (total) return Math.min(1, (done?.[unit] ?? 0) / total);
  }
  return undefined;
}

function progressTexts({ done = {}, of = {}, bytesPerSecond, note }: Job["progress"]): string[] {
  const part = (unit: "images" | "blobs", count = 0): string =>
    `${integer(count)}${of[unit] === undefined ? "" : ` of ${integer(of[unit])}`} ${unit}`;
  return [
    ...(done.images === undefined ? [] : [part("images", done.images)]),
    ...(done.blobs === undefined ? [] : [part("blobs", done.blobs)]),
    ...(done.bytes === undefined
      ? []
      : [`${bytes(done.bytes)}${of.bytes === undefined ? "" : ` of ${bytes(of.bytes)}`}`]),
    ...(bytesPerSecond === undefined ? [] : [`${bytes(bytesPerSecond)}/s`]),
    ...(note === undefined ? [] : [note]),
  ];
}
