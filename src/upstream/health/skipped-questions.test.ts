import { expect, test } from "bun:test";
import { SkippedQuestions } from "./skipped-questions.ts";

const manifests = { kind: "manifest", repository: "app" };

test("a question is skipped for 5 s, doubled up to 60 s until it is answered", () => {
  const clock = { now: 0 };
  const subject = new SkippedQuestions(() => clock.now);
  for (const seconds of [5, 10, 20, 40, 60, 60]) {
    // Concurrent failures count once.
    for (let i = 0; i < 3; i += 1) subject.failed(manifests);
    clock.now += seconds * 1000 - 1;
    expect(subject.has(manifests)).toBe(true);
    clock.now += 1;
    expect(subject.has(manifests)).toBe(false);
  }
  subject.answered(manifests);
  subject.failed(manifests);
  clock.now += 5000;
  expect(subject.has(manifests)).toBe(false);
});

test.each([
  { kind: "manifest", repository: "other" },
  { kind: "tags", repository: "app" },
])("other questions are asked: %p", (question) => {
  const subject = new SkippedQuestions();
  subject.failed(manifests);
  expect(subject.has(question)).toBe(false);
});
