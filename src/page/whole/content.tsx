import type { JSX } from "preact";
import { Held } from "../held/held.tsx";
import { History } from "../history/history.tsx";
import { Image } from "../images/image.tsx";
import { Images } from "../images/images.tsx";
import { Pinned } from "../images/pinned.tsx";
import { Purge } from "../images/purge.tsx";
import { Jobs } from "../jobs/jobs.tsx";
import { Overview } from "../overview/overview.tsx";
import { Prose } from "../parts/prose.tsx";
import { Readiness } from "../readiness/readiness.tsx";
import { Settings } from "../settings/settings.tsx";
import type { PageData } from "../view.ts";

/** What a page is about. */
export function Content({ data: { view, frame } }: { readonly data: PageData }): JSX.Element {
  const { mayChange, at } = frame;
  switch (view.page) {
    case "overview":
      return <Overview overview={view.overview} />;
    case "images":
      return <Images view={view} now={at} />;
    case "image":
      return <Image view={view} mayChange={mayChange} now={at} />;
    case "purge":
      return <Purge view={view} mayChange={mayChange} />;
    case "pinned":
      return <Pinned view={view} mayChange={mayChange} now={at} />;
    case "readiness":
      return <Readiness view={view} mayChange={mayChange} now={at} />;
    case "held":
      return <Held view={view} mayChange={mayChange} now={at} />;
    case "history":
      return <History view={view} />;
    case "jobs":
      return <Jobs jobs={view.jobs} mayChange={mayChange} now={at} />;
    case "settings":
      return <Settings configuration={view.configuration} mayChange={mayChange} />;
    case "problem":
      return (
        <section class="health degraded">
          <p class="sentence">{view.title}</p>
          <p>
            <Prose text={view.detail} />
          </p>
        </section>
      );
  }
}
