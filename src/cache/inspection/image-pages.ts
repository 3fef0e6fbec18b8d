import type { ImagePattern } from "../../oci/image-pattern.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { CachedImage, ImageName, Images, Survey } from "../retention/images.ts";

export type ImageOrder = "name" | "size" | "used";

/** The last image of a page, after which the next one begins. */
export interface ImagePlace extends ImageName {
  /** What it was sorted by; absent in the order of names. */
  readonly value?: number;
}

export interface ImageQuery {
  readonly pattern?: ImagePattern | undefined;
  /** Text that the name, the tag or the digest contains, in any case. */
  readonly search?: string | undefined;
  readonly order: ImageOrder;
  readonly limit: number;
  readonly after?: ImagePlace | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Which of some repositories are not to be named; absent: none. */
  readonly privateAmong?:
    | ((repositories: Iterable<RepositoryRef>) => Promise<(repo: RepositoryRef) => boolean>)
    | undefined;
}

export interface ImagePage {
  readonly images: readonly CachedImage[];
  /** Absent on the last page. */
  readonly next?: ImagePlace;
  /** How many images are left out since they are not to be named, whatever was searched for. */
  readonly hidden?: number;
}

export interface ImagePagesOptions {
  readonly images: Pick<Images, "survey" | "names" | "describe" | "pins">;
  readonly metadata: { readonly revision: number };
}

/** For so long, the pages after the first one go by what was read for it, in milliseconds. */
const SURVEY_MS = 60_000;

interface Place {
  readonly place: ImagePlace;
  readonly image: CachedImage;
}

/**
 * Lists images page by page. In the order of names, a page reads the images in it; in another one, it reads all,
 * and keeps those of the page. What several images share is known only once all were read, which is done for
 * the first page, and kept for the next ones for a while: nine bytes per blob.
 */
export class ImagePages {
  readonly #options: ImagePagesOptions;
  #known: { readonly survey: Promise<Survey>; readonly revision: number } | undefined;
  #forget: NodeJS.Timeout | undefined;

  constructor(options: ImagePagesOptions) {
    this.#options = options;
  }

  /** @throws the reason of the signal */
  async page(query: ImageQuery): Promise<ImagePage> {
    const { images } = this.#options;
    const { after, limit, order, pattern, signal } = query;
    const survey = await this.survey(after !== undefined);
    const pins = await images.pins();
    const isFound = matcher(query);
    const hidden = await this.#hidden(query, survey);
    const found: Place[] = [];
    const begin = order === "name" ? after : undefined;
    for await (const name of images.names(survey, begin)) {
      signal?.throwIfAborted();
      if (pattern && !pattern.matches(name)) continue;
      if (!isFound(name) || hidden?.isHidden(name)) continue;
      // It came since: a tag or an index may lead to it.
      if (name.tag === undefined && !survey.knows(name.digest)) continue;
      const image = await images.describe(name, survey, pins);
      if (!image) continue;
      if (order === "name") {
        found.push({ place: name, image });
        if (found.length > limit) break;
        continue;
      }
      const place = { ...name, value: order === "size" ? image.size : image.lastUsed };
      if (after && comparePlaces(place, after) <= 0) continue;
      insert(found, { place, image }, limit + 1);
    }
    const page = found.slice(0, limit);
    const next = found.length > limit ? page.at(-1)?.place : undefined;
    return {
      images: page.map(({ image }) => image),
      ...(next && { next }),
      ...(hidden && { hidden: hidden.count }),
    };
  }

  /** Counts all of them: the number of those that match would tell what was guessed. */
  async #hidden({ privateAmong, signal }: ImageQuery, survey: Survey) {
    if (!privateAmong) return undefined;
    const counts = new Map<string, { readonly repo: RepositoryRef; count: number }>();
    for await (const { upstream, repository } of this.#options.images.names(survey)) {
      signal?.throwIfAborted();
      const key = `${upstream}/${repository}`;
      const known = counts.get(key);
      if (known) known.count += 1;
      else counts.set(key, { repo: { upstream, repository }, count: 1 });
    }
    const all = [...counts.values()];
    const isHidden = await privateAmong(all.map(({ repo }) => repo));
    const count = all.reduce((sum, one) => sum + (isHidden(one.repo) ? one.count : 0), 0);
    return { isHidden, count };
  }

  /**
   * What several images share, and which manifests others lead to.
   *
   * @param mayBeOld whether one of the last minute will do, even if images came since
   */
  survey(mayBeOld: boolean): Promise<Survey> {
    const { images, metadata } = this.#options;
    const { revision } = metadata;
    if (this.#known && (mayBeOld || this.#known.revision === revision)) return this.#known.survey;
    // No signal: others may wait for the same one.
    const survey = images.survey();
    const known = { survey, revision };
    this.#known = known;
    clearTimeout(this.#forget);
    this.#forget = setTimeout(() => (this.#known = undefined), SURVEY_MS);
    this.#forget.unref();
    survey.catch(() => {
      if (this.#known === known) this.#known = undefined;
    });
    return survey;
  }
}

function matcher({ search = "" }: ImageQuery): (name: ImageName) => boolean {
  const wanted = search.trim().toLowerCase();
  if (wanted === "") return () => true;
  return ({ upstream, repository, tag, digest }) =>
    `${upstream}/${repository}${tag === undefined ? "" : `:${tag}`}@${digest}`
      .toLowerCase()
      .includes(wanted);
}

/** Keeps the list in order, and no longer than `most`. */
function insert(places: Place[], added: Place, most: number): void {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const other = places[middle];
    if (other && comparePlaces(other.place, added.place) < 0) low = middle + 1;
    else high = middle;
  }
  if (low >= most) return;
  places.splice(low, 0, added);
  if (places.length > most) places.pop();
}

/** The largest value first; of equal ones, in the order of names. */
function comparePlaces(one: ImagePlace, other: ImagePlace): number {
  const byValue = (other.value ?? 0) - (one.value ?? 0);
  if (byValue !== 0) return byValue;
  const [a, b] = [keyOf(one), keyOf(other)];
  return a < b ? -1 : a > b ? 1 : 0;
}

function keyOf({ upstream, repository, tag, digest }: ImageName): string {
  return `${upstream}/${repository}:${tag ?? ""}@${digest}`;
}
