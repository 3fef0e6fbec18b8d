import { expect } from "bun:test";
import { Rounds } from "./harness/faults/random-rounds.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

/** 100 rounds take ten minutes: only in `npm run test:long`. */
const isLong = process.env["ENTREPOT_LONG"] === "1";
const ROUNDS = Number(process.env["ENTREPOT_ROUNDS"] ?? (isLong ? 100 : 1));
/** With the same seed, the same faults are drawn. What they meet differs with each run. */
const SEED = Number(process.env["ENTREPOT_SEED"] ?? 1);

realTest(
  `${ROUNDS} rounds of random errors at random system calls: no byte is wrong, nothing sound is lost, no process dies, and all is soon well`,
  async () => {
    console.log(`ENTREPOT_SEED=${SEED}`);
    await using upstream = await startScriptedUpstream();
    await using other = await startScriptedUpstream();
    await using dir = await tempDir("errors");
    await using rounds = new Rounds({ upstream, other }, dir.file("data"), SEED);
    await rounds.start();
    await rounds.pin();
    for (let number = 1; number <= ROUNDS; number += 1) await rounds.round(number);
    await rounds.finish();
    expect(rounds.failures).toEqual([]);
  },
  60_000 + ROUNDS * 40_000,
);
