import { expect } from "bun:test";
import { failureOf } from "../waiting.ts";
import { realTest } from "../real-components.ts";
import { startPostgres } from "./postgres.ts";

realTest(
  "a PostgreSQL answers, is frozen, goes on, and keeps its data when it is restarted",
  async () => {
    await using postgres = await startPostgres();
    const url = await postgres.database();
    await postgres.query("create table words (word text); insert into words values ('kept')", url);
    await postgres.freeze();
    const answer = postgres.query<{ word: string }>("select word from words", url);
    await postgres.thaw();
    expect(await answer).toEqual([{ word: "kept" }]);
    await postgres.stop("SIGQUIT");
    expect(await failureOf(postgres.query("select 1", url))).not.toBe("");
    await postgres.start();
    expect(await postgres.query<{ word: string }>("select word from words", url)).toEqual([
      { word: "kept" },
    ]);
  },
);
