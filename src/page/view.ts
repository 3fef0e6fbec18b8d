import type { Configuration } from "../api/configuration.ts";
import type { HistoryAnswer, ImageClients } from "../api/history.ts";
import type { ImageDetails, Images } from "../api/images.ts";
import type { Job } from "../api/jobs.ts";
import type { Overview } from "../api/overview.ts";
import type { OverrideItem } from "../api/overrides.ts";
import type { Pin } from "../api/pins.ts";
import type { PurgePreview } from "../api/purge.ts";
import type { ReadinessPage } from "../api/readiness.ts";
import type { Held, TagHistory } from "../api/tag-history.ts";

/** How the list of images was asked for. */
export interface ImagesQuestion {
  readonly search: string;
  readonly sort: "name" | "size" | "used";
  readonly cursor?: string | undefined;
}

/** What a page shows: the browser goes on from the same facts that the server has rendered. */
export type View =
  | { readonly page: "overview"; readonly overview: Overview }
  | { readonly page: "images"; readonly question: ImagesQuestion; readonly images: Images }
  | {
      readonly page: "image";
      readonly details: ImageDetails;
      readonly clients: ImageClients;
      readonly history?: TagHistory;
    }
  | { readonly page: "purge"; readonly pattern: string; readonly preview: PurgePreview }
  | {
      readonly page: "pinned";
      readonly pattern: string;
      readonly detail: string;
      readonly pin: Pin;
    }
  | { readonly page: "readiness"; readonly readiness: ReadinessPage }
  | { readonly page: "history"; readonly period: Period; readonly history: HistoryAnswer }
  | {
      readonly page: "held";
      readonly held: Held;
      readonly overrides: readonly OverrideItem[];
    }
  | { readonly page: "jobs"; readonly jobs: readonly Job[] }
  | { readonly page: "settings"; readonly configuration: Configuration }
  | { readonly page: "problem"; readonly title: string; readonly detail: string };

export type Period = "day" | "week" | "month";

/** What every page shows, whatever it is about. */
export interface Frame {
  readonly version: string;
  /** When it was rendered, in milliseconds since the epoch. */
  readonly at: number;
  /** Whether whoever looks may also change things. */
  readonly mayChange: boolean;
  /** Whether there is a session to end. */
  readonly hasSession: boolean;
}

export interface PageData {
  readonly frame: Frame;
  readonly view: View;
}

/** The pages of the menu. */
export const MENU = [
  { path: "/", page: "overview", title: "Overview" },
  { path: "/images", page: "images", title: "Images" },
  { path: "/readiness", page: "readiness", title: "Readiness" },
  { path: "/held", page: "held", title: "Held" },
  { path: "/history", page: "history", title: "History" },
  { path: "/jobs", page: "jobs", title: "Jobs" },
  { path: "/settings", page: "settings", title: "Settings" },
] as const satisfies readonly {
  readonly path: string;
  readonly page: View["page"];
  readonly title: string;
}[];

export function titleOf(view: View): string {
  if (view.page === "image") return nameOf(view.details);
  if (view.page === "purge" || view.page === "pinned") return `Purge ${view.pattern}`;
  if (view.page === "problem") return view.title;
  return MENU.find((entry) => entry.page === view.page)?.title ?? view.page;
}

/** An image as people write it: by its tag if it has one. */
export function nameOf({
  image,
  tag,
  digest,
}: {
  readonly image: string;
  readonly tag?: string | undefined;
  readonly digest: string;
}): string {
  return tag === undefined ? `${image}@${digest}` : `${image}:${tag}`;
}

/** The page of one image. */
export function imageHref(name: string): string {
  return `/image?name=${encodeURIComponent(name)}`;
}

/** The id of the element that holds the facts, as JSON. */
export const DATA_ID = "data";
/** The id of the element that the browser takes over. */
export const ROOT_ID = "root";
