import { allTags } from "../../cache/retention/all-tags.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { Tags } from "../../store/metadata-store.ts";
import type { Ledger } from "../ledger/ledger.ts";

/** How many tags are told at once, and how long the next ones wait, in milliseconds: a ledger takes more. */
const PAGE = 500;
const PAUSE_MS = 1000;

export interface TagsAgainOptions {
  readonly tags: Pick<Tags, "all">;
  readonly upstreams: ReadonlyMap<UpstreamName, Upstream>;
  readonly ledger: Pick<Ledger, "state" | "tell">;
  readonly onFailed: (task: string, error: unknown) => void;
  readonly now?: () => number;
  readonly pauseMs?: number;
}

/** Tells all tags again that are still fresh, after some of what was told was lost. */
export class TagsAgain implements Disposable {
  readonly #options: TagsAgainOptions;
  readonly #now: () => number;
  #isWanted = false;
  #isRunning = false;
  #isClosed = false;

  constructor(options: TagsAgainOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Begins, or does so once more when it has ended. */
  begin(): void {
    this.#isWanted = true;
    if (!this.#isRunning) void this.#run();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#isWanted && !this.#isClosed) {
        this.#isWanted = false;
        await this.#tellAll();
      }
    } catch (error) {
      this.#options.onFailed("telling the tags again", error);
    } finally {
      this.#isRunning = false;
    }
  }

  async #tellAll(): Promise<void> {
    const { tags, upstreams, ledger, pauseMs = PAUSE_MS } = this.#options;
    let told = 0;
    for await (const { repo, tag, digest, checkedAt } of allTags(tags)) {
      const ageMs = this.#now() - checkedAt;
      const tagTtl = upstreams.get(repo.upstream)?.settings.tagTtl ?? 0;
      if (ageMs < 0 || ageMs >= tagTtl) continue;
      ledger.tell({ kind: "tag", repo, tag, digest, ageMs });
      told += 1;
      if (told % PAGE === 0) await Bun.sleep(pauseMs);
      // Away again, it would lose them again: it asks for them when it is back.
      if (this.#isClosed || ledger.state.state === "away") return;
    }
  }
}
