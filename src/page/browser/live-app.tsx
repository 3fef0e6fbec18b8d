import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Job } from "../../api/jobs.ts";
import type { Overview } from "../../api/overview.ts";
import type { Pull } from "../../api/pulls.ts";
import { App, type Liveness } from "../whole/app.tsx";
import type { PageData, View } from "../view.ts";
import { listen, readJobs } from "./listen.ts";

/** The page, kept up to date by the cache's events. */
export function LiveApp({ data }: { readonly data: PageData }): JSX.Element {
  const [view, setView] = useState(data.view);
  const [liveness, setLiveness] = useState<Liveness>("waiting");
  useEffect(() => {
    /** What was told of jobs since the page listens. */
    const told = new Map<string, Job>();
    return listen({
      liveness: setLiveness,
      overview(overview) {
        // What was loaded is of another version than the cache that now answers.
        if (overview.version !== data.frame.version) location.reload();
        else setView((now) => withOverview(now, overview));
      },
      pulls: (pulls) => setView((now) => withPulls(now, pulls)),
      job(job) {
        told.set(job.id, job);
        setView((now) => withJob(now, job));
      },
      connected() {
        told.clear();
        if (data.view.page !== "jobs") return;
        void readJobs().then((jobs) => jobs && setView((now) => withJobs(now, jobs, told)));
      },
    });
  }, []);
  const frame = view === data.view ? data.frame : { ...data.frame, at: Date.now() };
  return <App data={{ frame, view }} liveness={liveness} />;
}

function withOverview(view: View, overview: Overview): View {
  return view.page === "overview" ? { ...view, overview } : view;
}

/** A pull goes on after it was told first: what is told later replaces it. */
function withPulls(view: View, pulls: readonly Pull[]): View {
  if (view.page !== "overview") return view;
  const { overview } = view;
  const byId = new Map([...overview.pulls, ...pulls].map((pull) => [pull.id, pull]));
  const newest = [...byId.values()].toSorted((one, other) => other.id - one.id).slice(0, 50);
  return { ...view, overview: { ...overview, pulls: newest } };
}

function withJob(view: View, job: Job): View {
  if (view.page !== "jobs") return view;
  const isKnown = view.jobs.some(({ id }) => id === job.id);
  const jobs = isKnown
    ? view.jobs.map((one) => (one.id === job.id ? job : one))
    : [job, ...view.jobs];
  return { ...view, jobs };
}

/** All jobs anew: some have ended while nobody listened, and a cache that was restarted has none of before. */
function withJobs(view: View, jobs: readonly Job[], told: ReadonlyMap<string, Job>): View {
  if (view.page !== "jobs") return view;
  const asked = new Set(jobs.map(({ id }) => id));
  const newer = [...told.values()].filter(({ id }) => !asked.has(id)).toReversed();
  return { ...view, jobs: [...newer, ...jobs.map((job) => told.get(job.id) ?? job)] };
}
