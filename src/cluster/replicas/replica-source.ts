import { sleep } from "../../cache/fetch/back-off.ts";
import type { NearLimits, Source, Transfer } from "../../cache/fetch/source.ts";
import { Fault } from "../../oci/fault.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { BodyReader, GetResponse } from "../../upstream/http1/get.ts";
import { checkPartialContent } from "../../upstream/transport/content-range.ts";
import type { Failure, MemberHealth } from "../members/member-health.ts";
import type { Member } from "../members/members.ts";
import type { Following } from "./following.ts";
import { HEADERS, type Question, targetOf } from "./protocol.ts";
import { failureOf, type ReplicaClient } from "./replica-client.ts";

/**
 * After so long without a byte, in milliseconds, a ping decides whether to wait on. Longer than the other one holds a
 * question; together with a ping in vain, and a shared store that hangs, no pull waits for 3 s.
 */
const SILENT_MS = 750;
/** Before the same is asked again, in milliseconds: the other one has held the question for a while. */
const AGAIN_MS = 20;
/**
 * How often one is asked again that follows a member which this download has found dead: it finds that out at
 * about the same time, and then downloads by itself.
 */
const FOLLOWER_TRIES = 40;
const FOLLOWER_PAUSE_MS = 25;

export interface Asking {
  readonly client: ReplicaClient;
  readonly health: MemberHealth;
  readonly following: Following;
  /** Counts the bytes of blobs that came from another replica. */
  readonly onReceived?: (bytes: number) => void;
  /** Counts what went wrong with one. */
  readonly onFailed?: (kind: Failure["kind"]) => void;
}

/** Who is asked for a blob by one download. */
export interface Round {
  readonly members: readonly Member[];
  /** The ids of those that it has found dead. */
  readonly dead: Set<string>;
}

/** Another replica that has a blob, or downloads it. */
export class ReplicaSource implements Source {
  readonly upstream: UpstreamName;
  readonly name: string;
  readonly vouchesFor: RepositoryName;
  readonly near: NearLimits;
  readonly #asking: Asking;
  readonly #member: Member;
  readonly #question: Omit<Question, "silent">;
  readonly #round: Round;

  constructor(asking: Asking, member: Member, question: Omit<Question, "silent">, round: Round) {
    this.#asking = asking;
    this.#member = member;
    this.#question = question;
    this.#round = round;
    this.upstream = question.upstream;
    this.vouchesFor = question.repository;
    this.name = `${question.upstream}/${question.repository} at ${member.id}`;
    this.near = {
      firstByteMs: SILENT_MS,
      stallMs: SILENT_MS,
      isAlive: () => this.#isAlive(),
    };
  }

  async open(offset: number, signal: AbortSignal): Promise<Transfer> {
    if (!this.#asking.health.isUp(this.#member)) throw this.#isSilent();
    const { isHere } = this.#question;
    const ended = this.#pursue(isHere ? "looking" : "following");
    let response: GetResponse;
    try {
      response = await this.#ask(offset, signal);
    } catch (error) {
      ended();
      throw this.#failed(error, signal);
    }
    const follows = this.#pursue("following");
    ended();
    const { body, headers } = response;
    const extent = checkPartialContent(headers, offset, undefined);
    if (typeof extent === "string" || extent.size === undefined) {
      follows();
      await body.cancel();
      throw this.#refused(typeof extent === "string" ? extent : "a blob without its size");
    }
    const answeredAgo = Number(headers.get(HEADERS.answeredAgo) ?? Number.NaN);
    return {
      start: extent.start,
      size: extent.size,
      ...(answeredAgo >= 0 ? { answeredAgo } : {}),
      body: this.#stream(body, follows, signal),
      heldBack: () => body.heldBack ?? 0,
      // It is asked no more for this blob anyway.
      reportCorrupt: () => true,
    };
  }

  #pursue(kind: "looking" | "following"): () => void {
    const { upstream, digest } = this.#question;
    return this.#asking.following.begin(upstream, digest, { kind, member: this.#member });
  }

  /** @throws Error if it is not there, and will not be */
  async #ask(offset: number, signal: AbortSignal): Promise<GetResponse> {
    const { client, health } = this.#asking;
    const { members, dead } = this.#round;
    const silent = members.filter((member) => !health.isUp(member)).map(({ id }) => id);
    const target = targetOf({ ...this.#question, silent });
    for (let tries = 0; ;) {
      const range = `bytes=${offset}-`;
      const response = await client.get(this.#member, target, signal, { range, lends: true });
      const { status, headers, body } = response;
      if (status === 206) return response;
      await body.cancel();
      const follows = headers.get(HEADERS.follows) ?? "";
      if (status === 202) await sleep(AGAIN_MS, signal);
      else if (status === 409 && dead.has(follows) && tries < FOLLOWER_TRIES) {
        tries += 1;
        await sleep(FOLLOWER_PAUSE_MS, signal);
      } else throw this.#refused(`${status}${follows && `: it follows ${follows}`}`);
    }
  }

  #stream(reader: BodyReader, ended: () => void, signal: AbortSignal): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const next = await reader.read();
            if (!next.done) {
              this.#asking.onReceived?.(next.value.byteLength);
              return controller.enqueue(next.value);
            }
            ended();
            controller.close();
          } catch (error) {
            ended();
            throw this.#failed(error, signal);
          }
        },
        cancel: (reason) => {
          ended();
          return reader.cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Looks at all who may be asked: where several are gone, this download waits once, and not for one after another. */
  async #isAlive(): Promise<boolean> {
    const { health } = this.#asking;
    const isAlive = health.isAlive(this.#member);
    const others = this.#round.members.filter((member) => health.isUp(member));
    await Promise.all(others.map((member) => health.isAlive(member)));
    if (!(await isAlive)) this.#round.dead.add(this.#member.id);
    return isAlive;
  }

  #isSilent(): Fault {
    this.#round.dead.add(this.#member.id);
    return this.#refused("it does not answer");
  }

  #failed(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted || error instanceof Fault) return error;
    const failure = failureOf(error);
    this.#asking.onFailed?.(failure.kind);
    this.#round.dead.add(this.#member.id);
    this.#asking.health.failed(this.#member, failure);
    return this.#refused(failure.reason);
  }

  #refused(reason: string): Fault {
    return new Fault({ kind: "upstream-unreachable", upstream: this.name, reason });
  }
}
