import { allTags } from "../../cache/retention/all-tags.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { Tags } from "../../store/metadata-store.ts";
import type { TagHistory, TagStay } from "../../store/tag-history.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { agesOfStays } from "../ledger/stays.ts";

/** How many tags are told at once, and how long the next ones wait, in milliseconds: a ledger takes more. */
const PAGE = 100;
const PAUSE_MS = 200;
/** How often it is told again what nobody says was lost, in milliseconds. */
const CAUTION_MS = 3_600_000;

export interface TagsAgainOptions {
  readonly tags: Pick<Tags, "all">;
  readonly histories: Pick<TagHistory, "of">;
  readonly upstreams: ReadonlyMap<UpstreamName, Upstream>;
  readonly ledger: Pick<Ledger, "state" | "tell">;
  readonly onFailed: (task: string, error: unknown) => void;
  readonly now?: () => number;
  readonly pauseMs?: number;
}

/**
 * Tells all tags again that are still fresh, and what they were seen to point to, after some of what was told was lost.
 * A ledger may also have been restored, or be made later than this replica: then nobody says so.
 */
export class TagsAgain implements Disposable {
  readonly #options: TagsAgainOptions;
  readonly #now: () => number;
  #isWanted = false;
  #isRunning = false;
  #isClosed = false;
  #begunAt = -Infinity;

  constructor(options: TagsAgainOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Begins, or does so once more when it has ended. */
  begin(): void {
    this.#isWanted = true;
    if (!this.#isRunning) void this.#run();
  }

  /** The ledger has come up. */
  beginInCaution(): void {
    if (this.#now() - this.#begunAt >= CAUTION_MS) this.begin();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#isWanted && !this.#isClosed) {
        this.#isWanted = false;
        this.#begunAt = this.#now();
        await this.#tellAll();
      }
    } catch (error) {
      this.#options.onFailed("telling the tags again", error);
    } finally {
      this.#isRunning = false;
    }
  }

  async #tellAll(): Promise<void> {
    const { tags, histories, upstreams, ledger, pauseMs = PAUSE_MS } = this.#options;
    let told = 0;
    for await (const { repo, tag, digest, checkedAt } of allTags(tags)) {
      const stays = agesOfStays((await histories.of(repo, tag)).map(ownStay), this.#now());
      if (stays.length > 0) ledger.tell({ kind: "seen", repo, tag, stays });
      const ageMs = this.#now() - checkedAt;
      const tagTtl = upstreams.get(repo.upstream)?.settings.tagTtl ?? 0;
      if (ageMs >= 0 && ageMs < tagTtl) ledger.tell({ kind: "tag", repo, tag, digest, ageMs });
      told += 1;
      if (told % PAGE === 0) await Bun.sleep(pauseMs);
      // Away again, it would lose them again: it asks for them when it is back.
      if (this.#isClosed || ledger.state.state === "away") return;
    }
  }
}

/** Which registry said so, a replica that has it of another one does not know. */
function ownStay({ source, ...stay }: TagStay): TagStay {
  return source === undefined || source === "replica" ? stay : { ...stay, source };
}
