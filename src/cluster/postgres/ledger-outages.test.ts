import { afterEach, describe, expect } from "bun:test";
import { rm } from "node:fs/promises";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { type Postgres, startPostgres } from "../../../test/harness/replicas/postgres.ts";
import { TestLedger } from "../../../test/harness/replicas/postgres-ledger.ts";
import { longRealTest } from "../../../test/harness/real-components.ts";
import { RecordedNews } from "../../../test/harness/replicas/recorded-news.ts";
import { SmallDisk } from "../../../test/harness/faults/small-disk.ts";
import { failureOf, until } from "../../../test/harness/waiting.ts";
import { type Fact, newOrderId } from "../ledger/facts.ts";

const nginx = repositoryRef("docker.io", "library/nginx");

const pointsTo = (name: string, number: number): Fact => ({
  kind: "tag",
  repo: nginx,
  tag: tag(name),
  digest: digestNumber(number),
  ageMs: 0,
});

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

async function replicas(
  postgres: Postgres,
): Promise<{ a: TestLedger; b: TestLedger; news: RecordedNews }> {
  open.push(postgres);
  const url = await postgres.database();
  const [a, b] = [new TestLedger(url, "http://a"), new TestLedger(url, "http://b")];
  for (const ledger of [a, b]) {
    open.push({ [Symbol.asyncDispose]: () => ledger.close() });
    await ledger.isUp();
  }
  const news = new RecordedNews();
  a.hear(new RecordedNews());
  b.hear(news);
  await news.hasCaughtUp();
  return { a, b, news };
}

/** What the tables hold of what replicas tell. */
function contents(postgres: Postgres): Promise<unknown[]> {
  return postgres.query(
    "select tag, digest from entrepot.tags order by tag",
    postgres.url("test_1"),
  );
}

describe("a ledger in a PostgreSQL", () => {
  longRealTest("that is away for a minute hears everything afterwards, of both sides", async () => {
    const postgres = await startPostgres();
    const { a, b, news } = await replicas(postgres);
    await postgres.stop();
    await Promise.all([a.isAway(), b.isAway()]);
    for (let at = 0; at < 1000; at += 1) a.tell(pointsTo(`t${at}`, at));
    // Longer than the longest pause between attempts, several times.
    await Bun.sleep(60_000);
    await postgres.start();
    await Promise.all([a.isUp(), b.isUp()]);
    await until(() => new Set(news.words).size >= 1000, {
      what: "all of it to be heard",
      within: 30_000,
    });
    await until(() => a.figures.untold === 0, { what: "nothing to be left" });
    const known = await until(() => b.tag(nginx, tag("t999")), { what: "the last tag" });
    expect(known.ageMs).toBeGreaterThanOrEqual(60_000);
  });

  longRealTest("that hangs again and again is believed to hang, and loses nothing", async () => {
    const postgres = await startPostgres();
    const { a, b, news } = await replicas(postgres);
    for (let round = 0; round < 10; round += 1) {
      await postgres.freeze();
      a.tell(pointsTo("latest", round));
      await a.isAway();
      await postgres.thaw();
      await Promise.all([a.isUp(), b.isUp()]);
    }
    await until(async () => (await b.tag(nginx, tag("latest")))?.digest === digestNumber(9), {
      what: "the last one to be known",
    });
    const last = news.all.findLast((one) => one.kind === "tag");
    expect(last?.digest).toBe(digestNumber(9));
  });

  longRealTest("that becomes read-only is away until it can be written to", async () => {
    const postgres = await startPostgres();
    const { a } = await replicas(postgres);
    await postgres.query("alter database test_1 set default_transaction_read_only = on");
    await postgres.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'test_1'",
    );
    // First it only knows that its connection was ended.
    await until(
      () =>
        a.state.state === "away" &&
        a.state.reason.startsWith("the server is read-only, such as a standby"),
      {
        what: "the server to be known as read-only",
      },
    );
    await postgres.query("alter database test_1 reset default_transaction_read_only");
    await a.isUp();
  });

  longRealTest("that is dropped and made again is used again", async () => {
    const postgres = await startPostgres();
    const { a, b, news } = await replicas(postgres);
    await a.order({ kind: "purge", id: newOrderId(), pattern: "first", ageMs: 0 });
    await news.hasHeard("purge first");
    await postgres.query("drop schema entrepot cascade", postgres.url("test_1"));
    await a.isAway();
    await Promise.all([a.isUp(), b.isUp()]);
    await a.order({ kind: "purge", id: newOrderId(), pattern: "second", ageMs: 0 });
    await news.hasHeard("purge second");
  });
});

describe("a ledger in a PostgreSQL on a disk", () => {
  const disk = new SmallDisk(96 * 1024 * 1024);

  longRealTest("that is full is away, and back when there is room", async () => {
    const postgres = await startPostgres({ folder: disk.file() });
    const { a, b, news } = await replicas(postgres);
    await disk.fill("ballast");
    // Until the log of the changes has no room.
    let told = 0;
    const away = await until(
      () => {
        for (let at = 0; at < 500; at += 1) a.tell(pointsTo(`t${(told += 1) % 4000}`, at));
        return a.state.state === "away" ? a.state : undefined;
      },
      { what: "the server to fail", within: 60_000 },
    );
    expect(away.reason).toMatch(/disk is full|internal error|starting or stopping|does not answer/);
    expect(
      await failureOf(a.order({ kind: "purge", id: newOrderId(), pattern: "*", ageMs: 0 })),
    ).toStartWith("the ledger");
    expect(await b.tag(nginx, tag("none"))).toBeUndefined();
    await rm(disk.file("ballast"));
    await Promise.all([a.isUp(), b.isUp()]);
    a.tell(pointsTo("afterwards", 1));
    await news.hasHeard(`library/nginx:afterwards=${digestNumber(1).slice(7, 11)}`);
    await until(() => a.figures.untold === 0, { what: "nothing to be left" });
    // It answered meanwhile, and took nothing: that does not count.
    expect(a.states.filter(({ state }) => state === "up")).toHaveLength(2);
    expect(await contents(postgres)).toContainEqual({ tag: "afterwards", digest: digestNumber(1) });
  });
});
