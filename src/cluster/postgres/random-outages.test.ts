import { expect } from "bun:test";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { type Postgres, startPostgres } from "../../../test/harness/replicas/postgres.ts";
import { TestLedger } from "../../../test/harness/replicas/postgres-ledger.ts";
import { longRealTest } from "../../../test/harness/real-components.ts";
import { until } from "../../../test/harness/waiting.ts";
import type { News } from "../ledger/facts.ts";

const app = repositoryRef("reg.test", "app");
const TAGS = 20;
const ROUNDS = 25;

/** What a replica knows of a tag: the latest that it has seen or heard. */
interface Known {
  readonly at: number;
  readonly digest: string;
}

/** A replica that checks tags at random moments. */
class Replica {
  readonly ledger: TestLedger;
  readonly known = new Map<string, Known>();

  constructor(url: string, id: string) {
    this.ledger = new TestLedger(url, id, 3000);
    this.ledger.hear({
      heard: async (news) => this.#hear(news),
      caughtUp() {},
      lost() {},
    });
  }

  check(name: string, number: number): void {
    const at = performance.now();
    const digest = digestNumber(number);
    this.#learn(name, { at, digest });
    this.ledger.tell({ kind: "tag", repo: app, tag: tag(name), digest, ageMs: 0 });
  }

  #hear(news: News): void {
    if (news.kind !== "tag") return;
    this.#learn(news.tag, { at: performance.now() - news.ageMs, digest: news.digest });
  }

  #learn(name: string, known: Known): void {
    if (known.at > (this.known.get(name)?.at ?? -Infinity)) this.known.set(name, known);
  }
}

/** What can happen to a database, each for a random time. */
const OUTAGES: readonly ((postgres: Postgres, milliseconds: number) => Promise<unknown>)[] = [
  async (postgres, milliseconds) => {
    await postgres.freeze();
    await Bun.sleep(milliseconds);
    await postgres.thaw();
  },
  async (postgres, milliseconds) => {
    await postgres.stop("SIGQUIT");
    await Bun.sleep(milliseconds);
    await postgres.start();
  },
  (postgres) => postgres.restart(),
  (postgres) =>
    postgres.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'entrepot' and random() < 0.5",
    ),
  (postgres, milliseconds) =>
    postgres.query(
      `begin; lock table entrepot.tags; select pg_sleep(${milliseconds / 1000}); commit`,
      postgres.url("test_1"),
    ),
  (_, milliseconds) => Bun.sleep(milliseconds),
];

longRealTest(
  "whatever happens to their database, replicas know in the end what the last of them has seen",
  async () => {
    await using postgres = await startPostgres();
    const url = await postgres.database();
    const replicas = ["http://a", "http://b", "http://c"].map((id) => new Replica(url, id));
    await Promise.all(replicas.map(({ ledger }) => ledger.isUp()));
    const random = (below: number): number => Math.trunc(Math.random() * below);
    let number = 0;
    // A tag is checked once a second: which of two checks was later must be beyond doubt.
    const checks = setInterval(() => {
      number += 1;
      replicas[random(replicas.length)]?.check(`t${number % TAGS}`, number);
    }, 1000 / TAGS);
    const happened: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const which = random(OUTAGES.length);
      happened.push(which);
      await OUTAGES[which]?.(postgres, 100 + random(1500));
    }
    clearInterval(checks);
    const ended = performance.now();
    const isSettled = ({ ledger: { state, figures } }: Replica): boolean =>
      state.state === "up" &&
      figures.untold === 0 &&
      (figures.lagMs ?? Infinity) < performance.now() - ended;
    // One after the other: what one tells, another has to hear.
    for (const turn of ["told", "heard"]) {
      await Bun.sleep(500);
      await until(() => replicas.every(isSettled), {
        what: `everything to be ${turn}`,
        within: 30_000,
      });
    }
    const rows = await postgres.query<{ tag: string; digest: string }>(
      "select tag, digest from entrepot.tags order by tag",
      url,
    );
    const table = Object.fromEntries(rows.map((row) => [row.tag, row.digest]));
    for (const { known } of replicas) {
      const own = Object.fromEntries([...known].map(([name, { digest }]) => [name, digest]));
      expect({ happened, ...own }).toEqual({ happened, ...table });
    }
    await Promise.all(replicas.map(({ ledger }) => ledger.close()));
  },
  180_000,
);
