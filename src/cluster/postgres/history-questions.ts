import type { Kysely } from "kysely";
import type { KnownImage } from "../../cache/held/image-news.ts";
import type { StayAges } from "../../cache/lookup/tag-news.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { LedgerTables } from "../database/tables.ts";
import { HISTORY_MS } from "../ledger/ledger.ts";
import { Asking, type AskingOptions } from "./asking.ts";
import { askImages } from "./image-parts.ts";
import { TagQuestions } from "./tag-questions.ts";
import { askStays } from "./tag-stays.ts";

/** Questions about what tags and digests were before: they are put seldom, and waited for longer than others. */
export class HistoryQuestions {
  readonly #db: Kysely<LedgerTables>;
  readonly #asking: Asking;
  readonly #histories: TagQuestions<readonly StayAges[]>;

  constructor(db: Kysely<LedgerTables>, asking: Omit<AskingOptions, "limitMs">) {
    this.#db = db;
    this.#asking = new Asking({ ...asking, limitMs: HISTORY_MS });
    this.#histories = new TagQuestions((asked) => askStays(db, asked));
  }

  /** The database is there. */
  trust(): void {
    this.#asking.trust();
  }

  /** Never rejects. */
  async tag(repo: RepositoryRef, tag: Tag): Promise<readonly StayAges[] | undefined> {
    const answer = await this.#asking.ask(async () => {
      const stays = await this.#histories.ask(repo, tag);
      return stays && { stays, ageMs: 0 };
    });
    return answer && grownOlder(answer.stays, answer.ageMs);
  }

  /** Never rejects. */
  async images(repo: RepositoryRef, digest: Digest): Promise<readonly KnownImage[]> {
    // How long the answer took matters to nobody: ages are too low rather than too high.
    const answer = await this.#asking.ask(async () => {
      return { images: await askImages(this.#db, repo, digest), ageMs: 0 };
    });
    return answer?.images ?? [];
  }
}

function grownOlder(stays: readonly StayAges[], ms: number): StayAges[] {
  return stays.map((stay) => ({
    ...stay,
    firstSeenAgeMs: stay.firstSeenAgeMs + ms,
    lastSeenAgeMs: stay.lastSeenAgeMs + ms,
  }));
}
