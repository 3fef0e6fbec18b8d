import type { PrivateNames } from "../../access/verdicts/private-names.ts";
import { parseRepositoryName, parseUpstreamName, looksLikeRegistry } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { ProblemError } from "./problem-details.ts";

/** A repository with its registry, in any text: not in a URL, and not in a path. */
const NAMES =
  /(?<![\w./:@%-])([a-z0-9][a-z0-9.-]{0,252}(?::\d{1,5})?)\/([a-z0-9]+(?:[._-]+[a-z0-9]+|\/[a-z0-9]+)*)/g;
/** What is no registry, though it has dots: an address without a port, as of a network. */
const ADDRESS = /^\d+(?:\.\d+)*$/;
const HIDDEN = "(private)";

/** By what an item of a list is about a repository: it is left out then. Other texts lack the name only. */
const SUBJECTS = ["image", "images", "source", "pattern"] as const;

/** What is left of a value. */
interface Concealed {
  readonly value: unknown;
  /** How many items were left out. */
  readonly hidden: number;
}

/**
 * What whoever may only read is told: nothing by which a private repository could be known. It looks at
 * whole answers, so that no operation can forget to.
 */
export class Concealment {
  readonly #names: PrivateNames;

  constructor(names: PrivateNames) {
    this.#names = names;
  }

  /** Whether anything is private. */
  get isNeeded(): boolean {
    return this.#names.areThere;
  }

  /** See `PrivateNames`. */
  privateAmong(repositories: Iterable<RepositoryRef>): Promise<(repo: RepositoryRef) => boolean> {
    return this.#names.among(repositories);
  }

  async isPrivate(repo: RepositoryRef): Promise<boolean> {
    return (await this.#names.among([repo]))(repo);
  }

  /**
   * An answer without what is private. If it is an object, it says in `hidden` how many items of lists were left
   * out, beside those that it says itself.
   */
  async answer(value: unknown): Promise<unknown> {
    if (!this.isNeeded) return value;
    const repos = new Map<string, RepositoryRef>();
    // As a client would see it: methods and absent fields are no part of it.
    const plain: unknown = JSON.parse(JSON.stringify(value ?? null));
    collect(plain, repos);
    if (repos.size === 0) return plain;
    const isPrivate = await this.#names.among(repos.values());
    const keys = new Set([...repos].flatMap(([key, repo]) => (isPrivate(repo) ? [key] : [])));
    if (keys.size === 0) return plain;
    const concealed = conceal(plain, keys);
    if (concealed.hidden === 0 || !isRecord(concealed.value)) return concealed.value;
    const { hidden } = concealed.value;
    const before = typeof hidden === "number" ? hidden : 0;
    return { ...concealed.value, hidden: before + concealed.hidden };
  }

  /**
   * Refuses what could be guessed by asking for one name after the other.
   *
   * @throws ProblemError
   */
  refuse(what: string): never {
    const detail = `a token that may only read is not told ${what}, since some images are private`;
    throw new ProblemError({ status: 403, detail, next: "send the admin token" });
  }
}

function collect(value: unknown, into: Map<string, RepositoryRef>): void {
  if (typeof value === "string") {
    for (const [key, host = "", path = ""] of value.matchAll(NAMES)) {
      const repo = into.has(key) ? undefined : repositoryOf(host, path);
      if (repo) into.set(key, repo);
    }
  } else if (Array.isArray(value)) {
    for (const item of value) collect(item, into);
  } else if (isRecord(value)) {
    for (const item of Object.values(value)) collect(item, into);
  }
}

function repositoryOf(host: string, path: string): RepositoryRef | undefined {
  if (!looksLikeRegistry(host) || ADDRESS.test(host)) return undefined;
  const [upstream, repository] = [parseUpstreamName(host), parseRepositoryName(path)];
  return upstream && repository && { upstream, repository };
}

function conceal(value: unknown, keys: ReadonlySet<string>): Concealed {
  if (typeof value === "string") return { value: concealText(value, keys), hidden: 0 };
  if (Array.isArray(value)) {
    const kept = value.filter((item) => !isAbout(item, keys)).map((item) => conceal(item, keys));
    return {
      value: kept.map((one) => one.value),
      hidden: value.length - kept.length + sumOf(kept),
    };
  }
  if (!isRecord(value)) return { value, hidden: 0 };
  const fields = Object.entries(value).map(
    ([name, field]) => [name, conceal(field, keys)] as const,
  );
  return {
    value: Object.fromEntries(fields.map(([name, field]) => [name, field.value])),
    hidden: sumOf(fields.map(([, field]) => field)),
  };
}

function concealText(text: string, keys: ReadonlySet<string>): string {
  // What follows a name, up to a space, are its tag and its digest.
  return text.replaceAll(NAMES, (key) => (keys.has(key) ? HIDDEN : key));
}

/** Whether an item of a list is a private image, or about one. */
function isAbout(item: unknown, keys: ReadonlySet<string>): boolean {
  if (typeof item === "string") return beginsWith(item, keys);
  if (!isRecord(item)) return false;
  return SUBJECTS.some((name) => {
    const field = item[name];
    return typeof field === "string" && beginsWith(field, keys);
  });
}

/** Longer texts are sentences, which may begin with a name. */
function beginsWith(text: string, keys: ReadonlySet<string>): boolean {
  const [match] = text.matchAll(NAMES);
  return match?.index === 0 && keys.has(match[0]) && !/^\S+ [a-z]/.test(text);
}

function sumOf(all: readonly Concealed[]): number {
  return all.reduce((sum, { hidden }) => sum + hidden, 0);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
