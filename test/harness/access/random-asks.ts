import type { AccessWorld } from "./access-world.ts";
import { addressOf, rawRequest, type RawResponse } from "./raw-request.ts";
import { basicOf } from "../registries/private-registry.ts";

export interface AsksOptions {
  readonly world: AccessWorld;
  readonly random: () => number;
  readonly address: () => string;
  /** For how long the cache may believe the registry, in milliseconds; and while that fails. */
  readonly ttl: number;
  readonly staleFor: number;
}

interface Ask {
  readonly kind: "content" | "tags" | "referrers" | "catalog" | "missing";
  readonly path: string;
  readonly method: "GET" | "HEAD";
  readonly headers: Readonly<Record<string, string>>;
  readonly repository: string;
  /** What the content is, if it is one. */
  readonly digest?: string;
}

/** How long after the registry's decision the cache may have learnt of it, in milliseconds. */
const SLACK = 1500;
const MISSING = `sha256:${"0".repeat(64)}`;

/** Headers of a response from which somebody could tell what there is. */
const TELLING = [
  "docker-content-digest",
  "etag",
  "cache-status",
  "oci-namespace",
  "content-range",
  "accept-ranges",
  "link",
  "cache-control",
  "warning",
];

/** Sends random requests of random clients, and compares each answer with what its client may see. */
export class RandomAsks {
  readonly #options: AsksOptions;
  /** Of answers, by what they were. */
  readonly counts = new Map<string, number>();
  /** Answers that showed what they must not, or not what they must. */
  readonly faults: string[] = [];

  constructor(options: AsksOptions) {
    this.#options = options;
  }

  /** @param mustGive whether what may be seen has to be given: nothing has failed or changed lately */
  async ask(mustGive = false): Promise<void> {
    const { world, random, address } = this.#options;
    const user = random() < 0.15 ? undefined : this.#any(world.users);
    const isWrong = user !== undefined && random() < 0.05;
    const asked = this.#randomAsk();
    const from = addressOf(random);
    const basic = user === undefined ? undefined : basicOf(user, isWrong ? "guess" : undefined);
    const authorization = random() < 0.2 ? await this.#token(basic, from) : basic;
    const headers = { ...asked.headers, ...(authorization ? { authorization } : {}) };
    const startedAt = performance.now();
    let response: RawResponse;
    try {
      response = await rawRequest(address(), asked.path, { method: asked.method, headers, from });
    } catch {
      // The cache restarts.
      this.#count("broken off");
      return;
    }
    this.#check(asked, isWrong ? undefined : user, response, { startedAt, mustGive });
  }

  async #token(basic: string | undefined, from: string): Promise<string | undefined> {
    const headers = basic === undefined ? {} : { authorization: basic };
    const asked = rawRequest(this.#options.address(), "/v2/token", { headers, from });
    const answer = await asked.catch(() => undefined);
    if (answer?.status !== 200) return basic;
    const { token } = JSON.parse(answer.body.toString()) as { token: string };
    return `Bearer ${token}`;
  }

  #randomAsk(): Ask {
    const { world, random } = this.#options;
    const repository = this.#any(world.repositories);
    const at = `/v2/${repository}`;
    const method = random() < 0.2 ? "HEAD" : "GET";
    const plain = { method, headers: {}, repository } as const;
    const what = random();
    if (what < 0.05)
      return {
        ...plain,
        kind: "catalog",
        path: `/v2/_catalog?ns=reg.test&n=${1 + Math.floor(random() * 9)}`,
      };
    if (what < 0.1) return { ...plain, kind: "tags", path: `${at}/tags/list?ns=reg.test&n=2` };
    // Often what belongs to another repository, to which this one gives no right.
    const other = random() < 0.3 ? this.#any(world.repositories) : repository;
    const { manifest, blobs } = world.image(other);
    const subject = manifest.digest;
    if (what < 0.15) {
      return {
        ...plain,
        kind: "referrers",
        path: `${at}/referrers/${subject}?ns=reg.test`,
        digest: subject,
      };
    }
    if (what < 0.25) {
      const path = random() < 0.5 ? "manifests/none" : `blobs/${MISSING}`;
      return { ...plain, kind: "missing", path: `${at}/${path}?ns=reg.test` };
    }
    if (what < 0.6) {
      const tag = 1 + Math.floor(random() * 3);
      const isTag = random() < 0.5;
      const digest = isTag ? world.image(repository).manifest.digest : subject;
      const headers = random() < 0.2 ? { "if-none-match": `"${digest}"` } : {};
      const reference = isTag ? tag : digest;
      return {
        ...plain,
        headers,
        kind: "content",
        path: `${at}/manifests/${reference}?ns=reg.test`,
        digest,
      };
    }
    const digest = this.#any(blobs).digest;
    const headers: Record<string, string> = {};
    if (random() < 0.3) headers["range"] = `bytes=${Math.floor(random() * 20)}-`;
    if (random() < 0.1) headers["if-none-match"] = `"${digest}"`;
    return {
      ...plain,
      headers,
      kind: "content",
      path: `${at}/blobs/${digest}?ns=reg.test`,
      digest,
    };
  }

  #check(
    asked: Ask,
    user: string | undefined,
    response: RawResponse,
    { startedAt, mustGive }: { readonly startedAt: number; readonly mustGive: boolean },
  ): void {
    const { world, ttl, staleFor } = this.#options;
    const fault = (text: string): void => {
      const { status, headers } = response;
      const shown = `${asked.method} ${asked.path} ${JSON.stringify(asked.headers)} of ${user ?? "nobody"}`;
      this.faults.push(`${text}: ${shown}: ${status} ${JSON.stringify(headers)}`);
    };
    const since = world.hasFailedSince(startedAt - staleFor) ? Math.max(ttl, staleFor) : ttl;
    const maySee = (repository: string): boolean =>
      world.wasPublic(repository) || world.couldPull(user, repository, startedAt - since - SLACK);
    const { status, headers, body } = response;
    this.#count(`${asked.kind} ${status}`);
    const isGiven = status < 400;
    if (asked.kind === "catalog") {
      if (!isGiven) return fault("the catalog is refused");
      if (asked.method === "HEAD") return;
      const { repositories } = JSON.parse(body.toString()) as { repositories: string[] };
      const leaked = repositories.filter((name) => !maySee(name));
      if (leaked.length > 0) fault(`the catalog tells ${leaked.join(", ")}`);
      return;
    }
    const isSeen = maySee(asked.repository);
    if (!isSeen || !isGiven) {
      const telling = TELLING.filter((name) => headers[name] !== undefined);
      if (telling.length > 0) fault(`a refusal tells ${telling.join(", ")}`);
      if (body.includes("secret of")) fault("a refusal has content");
    }
    if (!isSeen && isGiven) return fault("it was given to whom it is not shown");
    if (asked.kind === "missing" && isGiven) return fault("what does not exist was given");
    if (asked.kind === "content") this.#checkContent(asked, response, fault);
    const isThere =
      asked.kind === "tags" ||
      (asked.digest !== undefined && world.bytes(asked.repository, asked.digest));
    // What was refused is refused for half a minute.
    const isDue =
      world.canPullSince(user, asked.repository, startedAt - 31_000) ||
      world.isAlwaysPublic(asked.repository);
    if (mustGive && isThere && isDue && !isGiven && status !== 416) fault("it was not given");
  }

  #checkContent(
    { repository, digest = "", headers: sent, method }: Ask,
    { status, headers, body }: RawResponse,
    fault: (text: string) => void,
  ): void {
    if (status >= 400) return;
    const bytes = this.#options.world.bytes(repository, digest);
    if (!bytes) return fault("what another repository has was given");
    if (status === 304 && sent["if-none-match"] === undefined) fault("it was not modified");
    if (headers["docker-content-digest"] !== digest) fault("it has another digest");
    if (method === "HEAD" || status === 304) return;
    const first =
      status === 206 ? Number(/^bytes (\d+)-/.exec(headers["content-range"] ?? "")?.[1]) : 0;
    if (!body.equals(bytes.subarray(first))) fault("it has other bytes");
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  #any<T>(among: readonly T[]): T {
    const found = among[Math.floor(this.#options.random() * among.length)];
    if (found === undefined) throw new Error("there is none");
    return found;
  }
}
