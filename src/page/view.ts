import type { Overview } from "../api/overview.ts";

/** What a page shows: the browser goes on from the same facts that the server has rendered. */
export type View = { readonly page: "overview"; readonly overview: Overview };

/** What every page shows, whatever it is about. */
export interface Frame {
  readonly version: string;
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
] as const satisfies readonly {
  readonly path: string;
  readonly page: View["page"];
  readonly title: string;
}[];

export function titleOf({ page }: View): string {
  return MENU.find((entry) => entry.page === page)?.title ?? page;
}

/** The id of the element that holds the facts, as JSON. */
export const DATA_ID = "data";
/** The id of the element that the browser takes over. */
export const ROOT_ID = "root";
