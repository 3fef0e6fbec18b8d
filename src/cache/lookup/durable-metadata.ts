import { TurnLimiter } from "../../event-loop/turn-limiter.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import type { SidecarFiles } from "../../store/sidecars/sidecar-files.ts";
import { DiskTimes } from "../../store/disk-times.ts";
import type { RepositoryRef, TagRecord } from "../../store/metadata-store.ts";
import type { QuotaEvents } from "../quota-events.ts";
import type { TagStay } from "../../store/tag-history.ts";
import { WriteBehind } from "../write-behind.ts";
import type { PullMetadata, StoredPullMetadata } from "./pull-metadata.ts";

/**
 * An index may name 50,000 manifests; to link them in one write would block the event loop for 50 ms.
 * Links that a crash prevents are made when they are needed.
 */
const LINKS_PER_WRITE = 2048;

/** What a link takes in memory, roughly. */
const LINK_BYTES = 200;

/** Writes that begin in one turn of the event loop. Each takes about 0.2 ms of this thread. */
const WRITES_PER_TURN = 4;

export interface DurableMetadataOptions {
  /** Absent if the metadata database need not survive damage. */
  readonly sidecars?: SidecarFiles | undefined;
  /** Resolves once the database has what these files say; `undefined` if it has. */
  readonly restoring?: (() => Promise<void> | undefined) | undefined;
  readonly quotaEvents?: QuotaEvents | undefined;
  readonly times?: DiskTimes | undefined;
  /** For links and access, which are asked for again if a crash loses them. */
  readonly behind?: WriteBehind | undefined;
  /** Called with the fault of each write that failed. */
  readonly onNotWritten: (fault: Fault) => void;
  /** Called with the fault of each read that failed. */
  readonly onNotRead: (fault: Fault) => void;
}

/**
 * Metadata as the pull path reads and writes it. What cannot be read counts as unknown, so the registry
 * is asked. A failed write does not fail the pull: the record is discovered again when it is needed.
 * Manifests, tags and confirmed links are also written to sidecar files, from which a damaged metadata
 * database is rebuilt.
 */
export class DurableMetadata implements PullMetadata {
  readonly tags: PullMetadata["tags"];
  readonly links: PullMetadata["links"];
  readonly blobs: PullMetadata["blobs"];
  readonly listings: PullMetadata["listings"];
  readonly access: PullMetadata["access"];
  readonly visibility: PullMetadata["visibility"];
  readonly tagHistory: PullMetadata["tagHistory"];
  readonly #sidecars: SidecarFiles | undefined;
  readonly #times: DiskTimes;
  readonly #onNotWritten: (fault: Fault) => void;
  readonly #onNotRead: (fault: Fault) => void;
  readonly #turns = new TurnLimiter(WRITES_PER_TURN);
  readonly #history: StoredPullMetadata["tagHistory"];

  constructor(
    { tags, links, blobs, listings, access, visibility, tagHistory }: StoredPullMetadata,
    {
      sidecars,
      restoring = () => undefined,
      quotaEvents,
      times = new DiskTimes(),
      behind = new WriteBehind(),
      onNotWritten,
      onNotRead,
    }: DurableMetadataOptions,
  ) {
    this.#sidecars = sidecars;
    this.#history = tagHistory;
    this.#times = times;
    this.#onNotWritten = onNotWritten;
    this.#onNotRead = onNotRead;
    this.tags = {
      get: (repo, tag) => this.#known(tags.get(repo, tag)),
      put: async (repo, tag, record) => {
        const previous = await this.#known(tags.get(repo, tag));
        const dated =
          previous?.digest === record.digest ? record : await this.#dated(repo, tag, record);
        await this.#attempt(() => tags.put(repo, tag, dated));
        await this.#attempt(() => this.#writeTag(repo, tag, record, previous));
      },
      remove: async (repo, tag) => {
        const previous = await this.#known(tags.get(repo, tag));
        await this.#attempt(() => tags.remove(repo, tag));
        if (previous) {
          await this.#attempt(() => this.#writeMoved(repo, tag, previous.digest));
        }
      },
    };
    this.links = {
      get: (repo, digest) => this.#known(links.get(repo, digest)),
      repositories: (upstream, limit, last) => links.repositories(upstream, limit, last),
      add: async (repo, added) => {
        const write = async (): Promise<boolean> => {
          let isWritten = true;
          for (let from = 0; from === 0 || from < added.length; from += LINKS_PER_WRITE) {
            const batch = added.slice(from, from + LINKS_PER_WRITE);
            if (!(await this.#attempt(() => links.add(repo, batch)))) isWritten = false;
            for (const { digest, confirmed } of batch) {
              if (confirmed) await this.#attempt(async () => sidecars?.confirm(digest, repo));
            }
            quotaEvents?.linked(
              repo.upstream,
              batch.map(({ digest }) => digest),
            );
          }
          return isWritten;
        };
        return (await behind.run(write, added.length * LINK_BYTES)) ?? true;
      },
    };
    this.blobs = {
      get: (digest) => this.#known(blobs.get(digest)),
      put: async (record, now) => {
        const isWritten = await this.#attempt(() => blobs.put(record, now));
        quotaEvents?.stored(record.digest, record.size);
        return isWritten;
      },
    };
    this.listings = {
      get: (repo, key) => this.#known(listings.get(repo, key)),
      put: (repo, key, listing) => this.#attempt(() => listings.put(repo, key, listing)),
    };
    this.access = {
      get: (repo) => this.#known(access.get(repo)),
      put: async (repo, record) =>
        (await behind.run(() => this.#attempt(() => access.put(repo, record)))) ?? true,
    };
    this.visibility = {
      get: (repo) => this.#known(visibility.get(repo)),
      publicAmong: async (upstream, repositories, since) =>
        (await this.#known(visibility.publicAmong(upstream, repositories, since))) ?? [],
      // Not behind: after a crash, what has become private must not be public again.
      put: (repo, record) => this.#attempt(() => visibility.put(repo, record)),
    };
    this.tagHistory = {
      of: async (repo, tag) => {
        // A tag that seems to be new may be served with what it is not old enough for.
        await restoring();
        return this.#stays(repo, tag);
      },
      ofEach: async (repo, some) => {
        await restoring();
        return (await this.#known(tagHistory.ofEach(repo, some))) ?? new Map();
      },
      firstSeen: async (repo, some) => {
        await restoring();
        return (await this.#known(tagHistory.firstSeen(repo, some))) ?? new Map();
      },
      tags: async (repo, limit, digest) =>
        (await this.#known(tagHistory.tags(repo, limit, digest))) ?? [],
      digests: async (repo, limit) => (await this.#known(tagHistory.digests(repo, limit))) ?? [],
      // What cannot be written down is new each time.
      digestSeen: async (repo, digest, at) =>
        (await this.#known(tagHistory.digestSeen(repo, digest, at))) ?? at,
      add: (repo, tag, stays) => this.#attempt(() => tagHistory.add(repo, tag, stays)),
      served: (repo, tag, digest, at) =>
        this.#attempt(() => tagHistory.served(repo, tag, digest, at)),
    };
  }

  /**
   * A tag is not seen to have a digest before it was last seen to have the one before: a clock that is behind now, and
   * right later, must not make a digest older than it is.
   */
  async #dated(repo: RepositoryRef, tag: Tag, record: TagRecord): Promise<TagRecord> {
    const [before] = await this.#stays(repo, tag);
    const { digest, checkedAt, seenAt = checkedAt } = record;
    if (!before || before.digest === digest || before.lastSeen <= seenAt) return record;
    return { ...record, seenAt: before.lastSeen };
  }

  /** Writes the sidecar file of a manifest that was stored for a repository. */
  async manifestStored(
    repo: RepositoryRef,
    { digest, mediaType }: { readonly digest: Digest; readonly mediaType: string },
  ): Promise<void> {
    await this.#attempt(async () =>
      this.#sidecars?.record(digest, { mediaType, repo, at: Date.now() }),
    );
  }

  /**
   * Keeps a tag in exactly one sidecar file: that of the manifest to which it points. What it pointed to before
   * is kept there, too, in case that manifest is evicted.
   */
  async #writeTag(
    repo: RepositoryRef,
    tag: Tag,
    { digest, checkedAt: at }: TagRecord,
    previous: TagRecord | undefined,
  ): Promise<void> {
    const sidecars = this.#sidecars;
    if (!sidecars || sidecars.has(digest, repo, tag)) return;
    const mediaType = (await this.links.get(repo, digest))?.manifestType;
    if (mediaType !== undefined) {
      const stays = await this.#stays(repo, tag);
      await sidecars.record(digest, { mediaType, repo, tag, at, stays });
    }
    if (previous && previous.digest !== digest) await this.#writeMoved(repo, tag, previous.digest);
  }

  /** A tag no longer points to a manifest, which remembers it up to then. */
  async #writeMoved(repo: RepositoryRef, tag: Tag, digest: Digest): Promise<void> {
    const stays = await this.#stays(repo, tag);
    const last = stays.findIndex((stay) => stay.digest === digest);
    await this.#sidecars?.removeTag(digest, repo, tag, last === -1 ? [] : stays.slice(last));
  }

  async #stays(repo: RepositoryRef, tag: Tag): Promise<TagStay[]> {
    return (await this.#known(this.#history.of(repo, tag))) ?? [];
  }

  /** Reports the fault of a read, which then counts as `undefined`. */
  async #known<Value>(reading: Promise<Value | undefined>): Promise<Value | undefined> {
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#onNotRead(error);
      return undefined;
    }
  }

  /** Reports a fault of `work` instead of throwing it, and says whether there was none. */
  async #attempt(work: () => Promise<unknown>): Promise<boolean> {
    await this.#turns.begin();
    try {
      await this.#times.measure("writing metadata", work);
      return true;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#onNotWritten(error);
      return false;
    }
  }
}
