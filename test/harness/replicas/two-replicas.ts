import type { Ledger } from "../../../src/cluster/ledger/ledger.ts";
import { RecordedNews } from "./recorded-news.ts";

/** A ledger that nothing was told yet. */
export interface EmptyLedger extends AsyncDisposable {
  /** Another replica's way to it, which is up. */
  open(id: string): Promise<Ledger>;
}

export type It = (name: string, run: () => Promise<void>) => void;

interface TwoReplicas {
  readonly a: Ledger;
  readonly b: Ledger;
  readonly news: RecordedNews;
  readonly ledger: EmptyLedger;
}

/** Makes tests of two replicas, the second of which hears. */
export function replicaTests(makeEmpty: () => Promise<EmptyLedger>, it: It) {
  return (what: string, run: (replicas: TwoReplicas) => Promise<void>): void =>
    it(what, async () => {
      await using ledger = await makeEmpty();
      const [a, b] = [await ledger.open("http://a"), await ledger.open("http://b")];
      const news = new RecordedNews();
      a.hear(new RecordedNews());
      b.hear(news);
      await news.hasCaughtUp();
      await run({ a, b, news, ledger });
      await Promise.all([a.close(), b.close()]);
    });
}
