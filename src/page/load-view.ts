import type { Configuration } from "../api/configuration.ts";
import type { HistoryAnswer, ImageClients } from "../api/history.ts";
import type { ImageDetails, Images } from "../api/images.ts";
import type { Job } from "../api/jobs.ts";
import type { Overview } from "../api/overview.ts";
import type { Problem } from "../api/problem.ts";
import type { OverrideItem } from "../api/overrides.ts";
import type { Pin } from "../api/pins.ts";
import type { PurgePreview } from "../api/purge.ts";
import type { ReadinessPage } from "../api/readiness.ts";
import type { Held, TagHistory } from "../api/tag-history.ts";
import type { ImagesQuestion, Period, View } from "./view.ts";

/** Asks the API of this cache, below `/api/v1`, with what whoever looks may read. */
export type ReadApi = (path: string) => Promise<Response>;

/** The API refused what a page needs. */
class Refused extends Error {
  override readonly name = "Refused";

  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export interface Loaded {
  readonly view: View;
  readonly status: number;
}

/** What the page at a URL shows; undefined if there is none. */
export async function loadView(url: URL, read: ReadApi): Promise<Loaded | undefined> {
  const load = VIEWS[url.pathname];
  if (!load) return undefined;
  // The API writes what its description says, which is where the types come from.
  const json = async <Answer>(path: string): Promise<Answer> => {
    const response = await read(path);
    const body: unknown = await response.json();
    if (!response.ok) throw new Refused(body as Problem);
    return body as Answer;
  };
  try {
    return { view: await load(url.searchParams, json), status: 200 };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { title, detail, next, status } = error.problem;
    const text = next === undefined ? detail : `${detail}: ${next}`;
    return { view: { page: "problem", title, detail: text }, status };
  }
}

type Json = <Answer>(path: string) => Promise<Answer>;

const VIEWS: Readonly<Record<string, (query: URLSearchParams, json: Json) => Promise<View>>> = {
  "/": async (_, json) => ({ page: "overview", overview: await json<Overview>("/overview") }),
  "/images": async (query, json) => {
    const question = questionOf(query);
    const asked = new URLSearchParams({ sort: question.sort, limit: "100" });
    if (question.search !== "") asked.set("search", question.search);
    if (question.cursor !== undefined) asked.set("cursor", question.cursor);
    return { page: "images", question, images: await json<Images>(`/images?${asked.toString()}`) };
  },
  "/image": async (query, json) => {
    const name = encodeURIComponent(query.get("name") ?? "");
    const details = await json<ImageDetails>(`/images/${name}`);
    const [clients, history] = await Promise.all([
      json<ImageClients>(`/image-clients?image=${name}`),
      details.tag === undefined ? undefined : json<TagHistory>(`/tag-history?image=${name}`),
    ]);
    return { page: "image", details, clients, ...(history ? { history } : {}) };
  },
  "/purge": async (query, json) => {
    const pattern = query.get("pattern") ?? "";
    try {
      const preview = await json<PurgePreview>(`/purge?pattern=${encodeURIComponent(pattern)}`);
      return { page: "purge", pattern, preview };
    } catch (error) {
      const pin = await pinOf(error, json);
      // Refused for another reason.
      if (!pin) throw error;
      return { page: "pinned", pattern, ...pin };
    }
  },
  "/readiness": async (query, json) => {
    const asked = new URLSearchParams();
    for (const name of ["cursor", "fresh"]) {
      const value = query.get(name);
      if (value !== null) asked.set(name, value);
    }
    return {
      page: "readiness",
      readiness: await json<ReadinessPage>(`/readiness?${asked.toString()}`),
    };
  },
  "/held": async (_, json) => {
    const [held, overrides] = await Promise.all([
      json<Held>("/held"),
      json<{ readonly items: readonly OverrideItem[] }>("/overrides?active=true"),
    ]);
    return { page: "held", held, overrides: overrides.items };
  },
  "/history": async (query, json) => {
    const period = periodOf(query.get("period"));
    return {
      page: "history",
      period,
      history: await json<HistoryAnswer>(`/history?period=${period}`),
    };
  },
  "/jobs": async (_, json) => {
    const { items } = await json<{ readonly items: readonly Job[] }>("/jobs");
    return { page: "jobs", jobs: items };
  },
  "/settings": async (_, json) => {
    return { page: "settings", configuration: await json<Configuration>("/configuration") };
  },
};

/** The pin for which a purge was refused. */
async function pinOf(
  error: unknown,
  json: Json,
): Promise<{ readonly detail: string; readonly pin: Pin } | undefined> {
  if (!(error instanceof Refused) || error.problem.pin === undefined) return undefined;
  const { pin: pattern, detail } = error.problem;
  const { items } = await json<{ readonly items: readonly Pin[] }>("/pins");
  const pin = items.find((item) => item.pattern === pattern);
  return pin && { detail, pin };
}

function questionOf(query: URLSearchParams): ImagesQuestion {
  const sort = query.get("sort");
  const cursor = query.get("cursor");
  return {
    search: (query.get("search") ?? "").slice(0, 300),
    sort: sort === "size" || sort === "used" ? sort : "name",
    ...(cursor === null ? {} : { cursor }),
  };
}

function periodOf(text: string | null): Period {
  return text === "week" || text === "month" ? text : "day";
}
