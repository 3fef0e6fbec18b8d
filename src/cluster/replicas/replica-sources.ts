import { sleep } from "../../cache/fetch/back-off.ts";
import type { NearManifest, NearSources } from "../../cache/fetch/near-sources.ts";
import type { Source } from "../../cache/fetch/source.ts";
import type { Digest } from "../../oci/digest.ts";
import { MAX_MANIFEST_BYTES } from "../../oci/manifest.ts";
import { bareMediaType } from "../../oci/media-types.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Member, Members } from "../members/members.ts";
import { neighboursOf, rendezvousOrder } from "../members/order.ts";
import { HEADERS, type Question, targetOf } from "./protocol.ts";
import { failureOf, isTimeout, readBody } from "./replica-client.ts";
import { type Asking, ReplicaSource } from "./replica-source.ts";

/** The most that are asked to download a blob, one after the other: the second if the first one is gone. */
const MAX_AHEAD = 3;
/** The most that are only asked what they have: who was first before this one came has what it stored. */
const MAX_BEHIND = 2;
/** How long a manifest may take, in milliseconds: until an answer, and while it is downloaded. */
const ANSWER_MS = 1000;
const MANIFEST_MS = 5000;
const AGAIN_MS = 20;

/** A member, and whether it is only asked for what it has. */
interface Choice {
  readonly member: Member;
  readonly isHere: boolean;
}

/**
 * Which replicas are asked for what is missing here. Those before this one in the rendezvous order of upstream and
 * digest are asked to download it; those after it, which may have it from a time when this one was not there, only
 * for what they have.
 */
export class ReplicaSources implements NearSources {
  readonly #members: () => Members;
  readonly #asking: Asking;

  constructor(members: () => Members, asking: Asking) {
    this.#members = members;
    this.#asking = asking;
  }

  of(place: RepositoryRef, digest: Digest, size?: number): readonly Source[] {
    return this.#sources(this.#choices(place, digest), place, digest, size);
  }

  manifest(place: RepositoryRef, digest: Digest): Promise<NearManifest | undefined> {
    return this.#manifest(this.#choices(place, digest), place, digest);
  }

  /**
   * For what a replica has asked this one to download: no other one is asked to download it.
   *
   * @param silent the ids of those that did not answer whoever asks
   */
  forReplica(asker: string, silent: readonly string[]): NearSources {
    const choices = (place: RepositoryRef, digest: Digest): Choice[] => {
      const all = this.#choices(place, digest).filter(({ member }) => member.id !== asker);
      const suspects = all.filter(({ member }) => silent.includes(member.id));
      void this.#look(suspects);
      return all
        .filter((choice) => !suspects.includes(choice))
        .map(({ member }) => ({ member, isHere: true }));
    };
    return {
      of: (place, digest, size) => this.#sources(choices(place, digest), place, digest, size),
      manifest: (place, digest) => this.#manifest(choices(place, digest), place, digest),
    };
  }

  #choices({ upstream }: RepositoryRef, digest: Digest): Choice[] {
    const members = this.#members();
    const order = rendezvousOrder(members.living(), upstream, digest);
    const { ahead, behind } = neighboursOf(members.self, order);
    return [
      ...ahead.slice(0, MAX_AHEAD).map((member) => ({ member, isHere: false })),
      ...behind.slice(0, MAX_BEHIND).map((member) => ({ member, isHere: true })),
    ];
  }

  #sources(
    choices: readonly Choice[],
    place: RepositoryRef,
    digest: Digest,
    size: number | undefined,
  ): readonly Source[] {
    const round = { members: choices.map(({ member }) => member), dead: new Set<string>() };
    return choices.map(({ member, isHere }) => {
      const question = { what: "blobs", ...place, digest, size, isHere } as const;
      return new ReplicaSource(this.#asking, member, question, round);
    });
  }

  async #manifest(
    choices: readonly Choice[],
    place: RepositoryRef,
    digest: Digest,
  ): Promise<NearManifest | undefined> {
    const { following, health } = this.#asking;
    for (const [at, { member, isHere }] of choices.entries()) {
      if (!health.isUp(member)) continue;
      const kind = isHere ? "looking" : "following";
      const ended = following.begin(place.upstream, digest, { kind, member });
      try {
        const silent = choices.filter((one) => !health.isUp(one.member));
        const question: Question = {
          what: "manifests",
          ...place,
          digest,
          isHere,
          silent: silent.map((one) => one.member.id),
        };
        const found = await this.#ask(member, question);
        if (found) return found;
      } catch (error) {
        // One that is slow may be busy: a ping decides, for which this download does not wait.
        if (isTimeout(error)) await this.#timedOut(member, choices.slice(at + 1));
        else health.failed(member, failureOf(error));
      } finally {
        ended();
      }
    }
    return undefined;
  }

  /** Looks at those that are next, too: if they are gone as well, a manifest does not wait for each of them. */
  async #timedOut(member: Member, next: readonly Choice[]): Promise<void> {
    void this.#asking.health.isAlive(member);
    await this.#look(next);
  }

  /** Looks at those of which nothing bad is known. */
  async #look(choices: readonly Choice[]): Promise<void> {
    const { health } = this.#asking;
    const up = choices.filter(({ member }) => health.isUp(member));
    await Promise.all(up.map(({ member }) => health.isAlive(member)));
  }

  /** @throws Error if it is not alive */
  async #ask(member: Member, question: Question): Promise<NearManifest | undefined> {
    const over = AbortSignal.timeout(MANIFEST_MS);
    while (!over.aborted) {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const response = await this.#asking.client.get(member, targetOf(question), signal);
      const { status, headers, body } = response;
      if (status === 200) {
        const bytes = await readBody(body, MAX_MANIFEST_BYTES);
        const answeredAgo = Number(headers.get(HEADERS.answeredAgo) ?? Number.NaN);
        const mediaType = bareMediaType(headers.get("content-type"));
        return bytes && { bytes, mediaType, ...(answeredAgo >= 0 ? { answeredAgo } : {}) };
      }
      await body.cancel();
      if (status !== 202) return undefined;
      await sleep(AGAIN_MS, over).catch(() => {});
    }
    return undefined;
  }
}
