import { setTimeout } from "node:timers/promises";
import { type Kysely, sql } from "kysely";
import type { Fence, Leadership } from "./object-ledger.ts";

/** Of the leader of the shared store, among the leaders that the ledger knows. */
export const ROLE = "shared-store";

/** In milliseconds. */
export interface LeaseTimes {
  /** How long a lease holds after it was renewed, by the ledger's clock. */
  readonly lease: number;
  /** How long its holder relies on it, by its own clock: it is never the last to know that another leads. */
  readonly relied: number;
  readonly renew: number;
  /** How often the others look whether nobody leads. */
  readonly look: number;
}

const TIMES: LeaseTimes = { lease: 5000, relied: 3000, renew: 1000, look: 2000 };

export interface SqlLeaseOptions<Tables> {
  readonly db: Kysely<Tables>;
  /** The id of this replica. */
  readonly replica: string;
  /** A test may make them shorter. */
  readonly times?: LeaseTimes;
}

/**
 * Has one replica lead. The holder goes by its own monotonic clock, from before it asked, and so knows without
 * an answer when its lead is over: after it was stopped, or while the ledger is away. Nobody leads then.
 */
export class SqlLease<Tables> implements Leadership, AsyncDisposable {
  readonly #db: Kysely<Tables>;
  readonly #replica: string;
  /** Unique for each run: a replica that was started again does not go on with the lease of the one before. */
  readonly #holder: string;
  readonly #times: LeaseTimes;
  readonly #closing = new AbortController();
  readonly #loop: Promise<void>;
  #held: { readonly fence: Fence; readonly until: number } | undefined;
  #leader: string | undefined;

  constructor({ db, replica, times = TIMES }: SqlLeaseOptions<Tables>) {
    this.#db = db;
    this.#replica = replica;
    this.#times = times;
    this.#holder = `${replica} ${crypto.randomUUID()}`;
    this.#loop = this.#run();
  }

  get fence(): Fence | undefined {
    return this.#held && performance.now() < this.#held.until ? this.#held.fence : undefined;
  }

  /** The id of the replica that leads, as far as is known. */
  get leader(): string | undefined {
    return this.fence === undefined ? this.#leader : this.#replica;
  }

  /** Lets another one lead at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#loop;
    const fence = this.#held?.fence;
    this.#held = undefined;
    if (fence === undefined) return;
    await sql`
      update leaders set expires = clock_timestamp()
      where role = ${ROLE} and holder = ${this.#holder} and fence = ${fence}
    `
      .execute(this.#db)
      .catch(() => {});
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      // Without an answer nothing changes: the lead ends by itself.
      await this.#look().catch(() => {});
      const { renew, look } = this.#times;
      const pause = this.#held ? renew : look * (0.75 + 0.5 * Math.random());
      await setTimeout(pause, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #look(): Promise<void> {
    if (!this.#held) {
      const { rows } = await sql<{ holder: string }>`
        select holder from leaders where role = ${ROLE} and expires > clock_timestamp()
      `.execute(this.#db);
      const holder = rows[0]?.holder;
      this.#leader = holder?.slice(0, holder.lastIndexOf(" "));
      if (holder !== undefined) return;
    }
    const asked = performance.now();
    const fence = await this.#take();
    this.#held = fence === undefined ? undefined : { fence, until: asked + this.#times.relied };
  }

  /** Takes the lease, or renews it. A fence is given once: who has lost the lease gets another one. */
  #take(): Promise<Fence | undefined> {
    return this.#db.transaction().execute(async (transaction) => {
      // A crash of the server must not give the same fence again.
      await sql`set local synchronous_commit = on`.execute(transaction);
      const { rows } = await sql<{ fence: Fence }>`
        insert into leaders as lease (role, holder, fence, expires)
        values (
          ${ROLE}, ${this.#holder}, 1,
          clock_timestamp() + ${this.#times.lease}::float8 * interval '1 ms'
        )
        on conflict (role) do update set
          fence = case
            when lease.holder = excluded.holder and lease.expires > clock_timestamp() then lease.fence
            else lease.fence + 1
          end,
          holder = excluded.holder, expires = excluded.expires
        where lease.holder = excluded.holder or lease.expires < clock_timestamp()
        returning fence::float8 as fence
      `.execute(transaction);
      return rows[0]?.fence;
    });
  }
}
