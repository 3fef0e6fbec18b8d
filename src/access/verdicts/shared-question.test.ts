import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { tag } from "../../upstream/upstreamtest/test-servers.ts";
import { SharedQuestions } from "./shared-question.ts";
import type { Answer, AskedResource } from "./registry-question.ts";

const manifest = (name: string): AskedResource => ({ kind: "manifest", reference: tag(name) });

test("whoever asks for what exists waits for no more than one answer about something else", async () => {
  const questions = new SharedQuestions();
  const asked: string[] = [];
  let answered = 0;
  let answeredBefore = -1;
  const ask = (name: string, answer: Answer): Promise<Answer> =>
    questions.ask("repo", manifest(name), async () => {
      asked.push(name);
      if (name === "there") answeredBefore = answered;
      await setImmediate();
      answered += 1;
      return answer;
    });
  const missing = Array.from({ length: 50 }, (_, at) => ask(`missing${at}`, "absent"));
  const there = [ask("there", "shown"), ask("there", "shown")];
  expect(await Promise.all(there)).toEqual(["shown", "shown"]);
  expect(answeredBefore).toBe(1);
  expect(new Set(await Promise.all(missing))).toEqual(new Set(["absent"]));
  expect(asked).toHaveLength(51);
});

test("what a registry shows or refuses of a repository answers all who ask", async () => {
  for (const answer of ["shown", "refused"] as const) {
    const questions = new SharedQuestions();
    let asked = 0;
    const ask = (name: string): Promise<Answer> =>
      questions.ask("repo", manifest(name), async () => {
        asked += 1;
        return answer;
      });
    // oxlint-disable-next-line no-await-in-loop -- one case after the other
    const answers = await Promise.all([ask("a"), ask("b"), ask("a")]);
    expect([answers, asked]).toEqual([[answer, answer, answer], 1]);
  }
});
