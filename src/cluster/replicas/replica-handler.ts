import type { NearSources } from "../../cache/fetch/near-sources.ts";
import { areHeldBack } from "../../cache/lookup/fill-waits.ts";
import type { Fill } from "../../cache/fill/fill.ts";
import type {
  AskedPlace,
  FillingShare,
  ReplicaLookup,
} from "../../cache/sharing/replica-lookup.ts";
import type { Upstream } from "../../cache/upstream.ts";
import { parseRange } from "../../oci/range.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import { version } from "../../version.ts";
import type { Member } from "../members/members.ts";
import {
  agoHeader,
  type Answer,
  rangeHeaders,
  refusalOf,
  statusOf,
  storedAnswer,
} from "./replica-answer.ts";
import { fillBody } from "./fill-body.ts";
import type { Following } from "./following.ts";
import { HEADERS, parseQuestion, provenParts, type Question, ROOT } from "./protocol.ts";
import type { Signatures, Verdict } from "./signature.ts";
import type { TakenOver } from "./taken-over.ts";

/** How long a question is held until there is a byte, in milliseconds: whoever asks waits for a second. */
const HOLD_MS = 500;
/** The same for one that is to be answered at once. */
const LOOK_HOLD_MS = 100;
/** The most answers at once: each has a connection, and may have an open file. */
const MAX_ANSWERS = 512;

/** How something of a repository is given to another replica. */
export interface SharedPlace {
  /** Its registry is asked with what may be used for that. */
  readonly upstream: Upstream;
  /** Whether nothing is downloaded for it. */
  readonly isHereOnly: boolean;
}

export interface ReplicaHandlerOptions {
  readonly lookup: ReplicaLookup;
  readonly upstreams: ReadonlyMap<UpstreamName, Upstream>;
  /** How a repository is shared; `undefined` if the configuration lets nodes have nothing of it. */
  readonly share: (
    upstream: Upstream,
    repository: RepositoryName,
  ) => Promise<SharedPlace | undefined>;
  readonly signatures: Signatures;
  readonly following: Following;
  /** What a download asks that another replica has begun. */
  readonly near: (asker: string, silent: readonly string[]) => NearSources;
  readonly takenOver: TakenOver;
  /** The ids of the members that this replica is configured with. */
  readonly members: () => readonly string[] | undefined;
  readonly self: () => Member;
  readonly instance: string;
  /** Another replica says that it is at the address of this one. */
  readonly onTwin: (id: string) => void;
  /** Called with the id of each replica that asks something. */
  readonly onHeard: (id: string) => void;
  /** Called with the status of each answer. */
  readonly onAnswered: (status: number) => void;
}

/** Answers other replicas: see `protocol.ts`. */
export class ReplicaHandler {
  readonly #options: ReplicaHandlerOptions;
  #answers = 0;
  #isStopping = false;

  constructor(options: ReplicaHandlerOptions) {
    this.#options = options;
  }

  /** From now on, other replicas are sent elsewhere. What is being sent goes on. */
  stop(): void {
    this.#isStopping = true;
  }

  async handle(request: Request): Promise<Response> {
    const authorization = request.headers.get("authorization");
    const asker = request.headers.get(HEADERS.replica) ?? "";
    const url = new URL(request.url);
    const verdict = this.#options.signatures.verify(
      {
        method: request.method,
        target: `${url.pathname}${url.search}`,
        range: request.headers.get("range") ?? "",
        asker,
      },
      authorization,
    );
    if (verdict.kind !== "right") return this.#respond(refusalOf(verdict), verdict);
    return this.#respond(await this.#answer(request, url, asker), verdict);
  }

  async #answer(request: Request, url: URL, asker: string): Promise<Answer> {
    const [id = "", instance = ""] = asker.split(" ");
    const isOwn = instance === this.#options.instance;
    if (!isOwn && id === this.#options.self().id) this.#options.onTwin(id);
    else if (!isOwn) this.#options.onHeard(id);
    if (url.pathname === `${ROOT}/ping`) return this.#greeting();
    const asked = parseQuestion(url);
    if (!asked) return { status: 400 };
    if (this.#isStopping || this.#answers >= MAX_ANSWERS) return { status: 503 };
    // Under another name, this replica is one of the members.
    if (isOwn) return { status: 409 };
    const shared = await this.#placeOf(asked);
    if (!shared) return { status: 404 };
    const { place, isHereOnly } = shared;
    const question = { ...asked, isHere: asked.isHere || isHereOnly };
    this.#answers += 1;
    let isStreamed = false;
    const ended = (): void => {
      this.#answers -= 1;
    };
    try {
      const first = firstByte(request.headers.get("range"));
      const answer =
        question.what === "manifests"
          ? await this.#manifest(place, question, id)
          : await this.#blob(place, question, id, first, ended);
      isStreamed = answer.body instanceof ReadableStream;
      return answer;
    } catch (error) {
      return { status: statusOf(error) };
    } finally {
      if (!isStreamed) ended();
    }
  }

  #greeting(): Answer {
    if (this.#isStopping) return { status: 503 };
    const members = this.#options.members();
    return { status: 200, ...(members && { body: members.join("\n") }) };
  }

  async #placeOf({ upstream: name, repository, digest }: Question) {
    const upstream = this.#options.upstreams.get(name);
    const shared = upstream && (await this.#options.share(upstream, repository));
    if (!shared) return undefined;
    const { isHereOnly } = shared;
    const repo = { upstream: name, repository };
    return { place: { upstream: shared.upstream, repo, digest }, isHereOnly };
  }

  async #blob(
    place: AskedPlace,
    question: Question,
    asker: string,
    first: number,
    ended: () => void,
  ): Promise<Answer> {
    const { lookup, near, takenOver } = this.#options;
    const here = await lookup.blobHere(place);
    if (here?.kind === "stored") return storedAnswer(here, first);
    const deadline = performance.now() + (question.isHere ? LOOK_HOLD_MS : HOLD_MS);
    const endedWith =
      ({ fill }: FillingShare) =>
      (isEarly: boolean) => {
        ended();
        if (isEarly) void takenOver.look(fill, place.repo);
      };
    if (question.isHere) {
      const pursuit = this.#pursuit(question);
      if (pursuit) return pursuit;
      if (!here) return { status: 404 };
      return this.#filling(here, question, first, deadline, endedWith(here));
    }
    const begun = (): ReturnType<ReplicaLookup["blob"]> =>
      lookup.blob(place, question.size, near(asker, question.silent));
    const found = await this.#decided(question, begun, deadline);
    if (!("kind" in found)) return found;
    if (found.kind === "stored") return storedAnswer(found, first);
    return this.#filling(found, question, first, deadline, endedWith(found));
  }

  async #manifest(place: AskedPlace, question: Question, asker: string): Promise<Answer> {
    const { lookup, near } = this.#options;
    const here = await lookup.manifestHere(place);
    if (!here && question.isHere) return this.#pursuit(question) ?? { status: 404 };
    const deadline = performance.now() + HOLD_MS;
    const begun = (): ReturnType<ReplicaLookup["manifest"]> =>
      lookup.manifest(place, near(asker, question.silent));
    const found = here ?? (await this.#decided(question, begun, deadline));
    if (!("manifest" in found)) return found;
    const { manifest, answeredAgo } = found;
    return {
      status: 200,
      headers: { "content-type": manifest.mediaType, ...agoHeader(answeredAgo) },
      body: manifest.bytes,
    };
  }

  /** What was begun, unless it turns out that this replica follows another one, or it takes too long. */
  async #decided<Value extends object>(
    question: Question,
    begin: () => Promise<Value>,
    deadline: number,
  ): Promise<Value | Answer> {
    const { following } = this.#options;
    const before = this.#follows(question);
    if (before) return before;
    const working = begin();
    working.catch(() => {});
    const late = over(deadline);
    for (;;) {
      const changed = following.changed.then(() => "changed" as const);
      const next = await Promise.race([working, changed, late]);
      const follows = this.#follows(question);
      if (follows) return follows;
      if (next === "over") return { status: 202 };
      if (next !== "changed") return next;
    }
  }

  async #filling(
    { fill, answeredAgo }: FillingShare,
    question: Question,
    first: number,
    deadline: number,
    ended: (isEarly: boolean) => void,
  ): Promise<Answer> {
    const late = over(deadline);
    while (isWaiting(fill, first)) {
      const next = await Promise.race([fill.progress(), late]);
      const follows = this.#follows(question);
      if (follows) return follows;
      if (next === "over") return { status: 202 };
    }
    if (fill.resumePoint) return { status: 503 };
    if (fill.fault) throw fill.fault;
    const { size } = fill;
    if (size === undefined) return { status: 202 };
    if (first >= size) return { status: 416 };
    return {
      status: 206,
      headers: rangeHeaders(first, size, answeredAgo),
      body: fillBody(fill, first, size, ended),
    };
  }

  /** Of a question that is to be answered at once: this replica asks others itself. */
  #pursuit({ upstream, digest }: Question): Answer | undefined {
    const pursuit = this.#options.following.of(upstream, digest);
    return pursuit && { status: 409, headers: { [HEADERS.follows]: pursuit.member.id } };
  }

  #follows(question: Question): Answer | undefined {
    const { upstream, digest } = question;
    const pursuit = this.#options.following.of(upstream, digest);
    return pursuit?.kind === "following" ? this.#pursuit(question) : undefined;
  }

  #respond({ status, headers = {}, body }: Answer, verdict: Verdict): Response {
    const { signatures, self, instance, onAnswered } = this.#options;
    const all = new Headers({
      ...headers,
      [HEADERS.replica]: `${self().id} ${instance}`,
      server: `entrepot/${version}`,
    });
    if ("authorization" in verdict) {
      all.set(HEADERS.proof, signatures.prove(verdict.authorization, provenParts(status, all)));
    }
    onAnswered(status);
    return new Response(body ?? null, { status, headers: all });
  }
}

/** Whether there is nothing to send from this byte on yet, and may be. */
function isWaiting(fill: Fill, first: number): boolean {
  if (fill.isVerified || fill.fault || fill.resumePoint) return false;
  return fill.size === undefined || fill.available <= first || areHeldBack(fill);
}

function over(deadline: number): Promise<"over"> {
  const { promise, resolve } = Promise.withResolvers<"over">();
  setTimeout(resolve, Math.max(0, deadline - performance.now()), "over");
  return promise;
}

function firstByte(header: string | null): number {
  const range = parseRange(header);
  return range?.kind === "from" ? range.first : 0;
}
