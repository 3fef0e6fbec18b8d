import type { JSX } from "preact";
import type { Overview, Saved as SavedFacts } from "../../api/overview.ts";
import { Sparkline } from "../parts/charts.tsx";
import { ago, bytes, counted, duration, percent } from "../parts/format.ts";

/** What the cache saved in a day, a week and a month. */
export function Saved({ overview }: { readonly overview: Overview }): JSX.Element {
  const { day, week, month } = overview.saved;
  return (
    <section class="saved" aria-labelledby="saved">
      <h2 id="saved" class="unseen">
        Saved
      </h2>
      <Period title="24 hours" saved={day} now={overview.at} />
      <Period title="7 days" saved={week} now={overview.at} />
      <Period title="30 days" saved={month} now={overview.at} />
    </section>
  );
}

function Period({
  title,
  saved,
  now,
}: {
  readonly title: string;
  readonly saved: SavedFacts;
  readonly now: number;
}): JSX.Element {
  return (
    <article class="panel period" data-period={title}>
      <header>
        <h3>Saved in {title}</h3>
        {saved.since === undefined ? null : <p class="aside">since {ago(saved.since, now)}</p>}
      </header>
      <div class="figure">
        <p>
          <strong data-figure="bytes">{bytes(saved.bytes)}</strong>
          <span>not downloaded</span>
        </p>
        <Sparkline values={saved.series} />
      </div>
      <dl>
        <div>
          <dt>not counted by Docker Hub</dt>
          <dd data-figure="hubRequests">{counted(saved.hubRequests, "pull")}</dd>
        </div>
        <div>
          <dt>waiting saved</dt>
          <dd>{duration(saved.secondsNotWaited * 1000)}</dd>
        </div>
        <div>
          <dt>from the cache</dt>
          <dd>
            {percent(saved.hitRatioByBytes)} <span class="unit">of bytes</span>,{" "}
            {percent(saved.hitRatioByRequests)} <span class="unit">of requests</span>
          </dd>
        </div>
      </dl>
    </article>
  );
}
