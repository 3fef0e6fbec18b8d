import { expect, test } from "bun:test";
import { type AuditLine, AuditTrail } from "./audit-trail.ts";
import type { AuditedRequest } from "./audited-request.ts";

const [INDEX, CHILD, OTHER, LAYER] = ["i", "c", "o", "l"].map(
  (letter) => `sha256:${letter.repeat(64)}`,
);

/** A request of the client `node` for `reg.test/app` that took a millisecond. */
function request(at: number, more: Partial<AuditedRequest>): AuditedRequest {
  return {
    at,
    milliseconds: 1,
    client: "node",
    agent: "containerd/2.1.4",
    upstream: "reg.test",
    repository: "app",
    isTag: false,
    isHead: false,
    status: 200,
    result: "hit",
    bytes: 100,
    ...more,
  };
}

const byTag = (at: number, reference: string, digest = INDEX, more: Partial<AuditedRequest> = {}) =>
  request(at, { kind: "manifest", reference, isTag: true, digest, ...more });
const byDigest = (at: number, digest = INDEX, more: Partial<AuditedRequest> = {}) =>
  request(at, { kind: "manifest", reference: digest, digest, ...more });
const blob = (at: number, more: Partial<AuditedRequest> = {}) =>
  request(at, { kind: "blob", reference: LAYER, ...more });

function audited(...requests: readonly AuditedRequest[]): AuditLine[] {
  const lines: AuditLine[] = [];
  let id = 0;
  const trail = new AuditTrail(
    (line) => lines.push(line),
    () => String((id += 1)),
  );
  for (const one of requests) {
    trail.endSilent(one.at - 1);
    trail.add(one);
  }
  trail.endAll();
  return lines;
}

const briefly = (...requests: readonly AuditedRequest[]) =>
  audited(...requests).map(({ pull, image, outcome, requests: count, blobs, bytes }) =>
    [pull, image, outcome, count, blobs, bytes].join(" "),
  );

test("the requests of a pull make one line", () => {
  expect(
    audited(
      byTag(1000, "1", INDEX, { isHead: true, bytes: 0, result: "revalidated" }),
      byDigest(1010),
      byDigest(1020, CHILD),
      blob(1030),
      blob(5000, { milliseconds: 3900, result: "miss", bytes: 1000 }),
    ),
  ).toEqual([
    {
      at: 5000,
      since: 999,
      pull: "1",
      client: "node",
      principal: undefined,
      agent: "containerd/2.1.4",
      image: "reg.test/app:1",
      digest: INDEX,
      outcome: "pulled",
      result: "miss",
      requests: 5,
      blobs: 2,
      bytes: 1300,
      error: undefined,
      held: undefined,
    },
  ]);
});

test("what is asked for by digest later has the tag by which it was asked for before", () => {
  expect(
    briefly(
      byTag(1000, "1", INDEX),
      byDigest(1010, CHILD),
      byDigest(100_000),
      byDigest(200_000, CHILD),
      // A lazy puller.
      blob(9_000_000),
      byDigest(10_000_000, OTHER),
      byDigest(20_000_000, INDEX, { client: "another" }),
    ),
  ).toEqual([
    "1 reg.test/app:1 pulled 2 0 200",
    "2 reg.test/app:1 pulled 1 0 100",
    "3 reg.test/app:1 pulled 1 0 100",
    "4 reg.test/app:1 pulled 1 1 100",
    `5 reg.test/app@${OTHER} pulled 1 0 100`,
    "6 reg.test/app:1 pulled 1 0 100",
  ]);
});

test("pulls of several images of a repository at once are told apart", () => {
  expect(
    briefly(
      byTag(1000, "1", INDEX),
      byDigest(1001, CHILD),
      byDigest(1002, OTHER),
      byTag(1003, "2", `sha256:${"2".repeat(64)}`),
      byTag(1004, "1", INDEX, { client: "another" }),
    ),
  ).toEqual([
    "1 reg.test/app:1 pulled 2 0 200",
    `2 reg.test/app@${OTHER} pulled 1 0 100`,
    "3 reg.test/app:2 pulled 1 0 100",
    "4 reg.test/app:1 pulled 1 0 100",
  ]);
});

test("a download that takes long has a second line of the same pull", () => {
  expect(
    briefly(byTag(1000, "1"), blob(2000), blob(600_000, { milliseconds: 598_500, bytes: 9000 })),
  ).toEqual(["1 reg.test/app:1 pulled 2 1 200", "1 reg.test/app:1 pulled 1 1 9000"]);
});

test.each<[Partial<AuditedRequest>, string, string | undefined]>([
  [{ status: 404, bytes: 20 }, "not-found", undefined],
  [{ status: 403, bytes: 20, error: "is not allowed" }, "refused", "is not allowed"],
  [{ status: 502, bytes: 20, error: "it hangs" }, "failed", "it hangs"],
  [{ error: "the disk failed" }, "failed", "the disk failed"],
  [{ status: 304, bytes: 0 }, "checked", undefined],
  [{ isHead: true, bytes: 0 }, "checked", undefined],
])("a pull with %j is %s", (more, outcome, error) => {
  const [line] = audited(
    byTag(1000, "1", INDEX, { isHead: true, bytes: 0 }),
    byTag(1001, "1", INDEX, more),
  );
  expect([line?.outcome, line?.error]).toEqual([outcome as AuditLine["outcome"], error]);
});

test("what was refused before its reference was known has a line, too", () => {
  expect(briefly(request(1000, { status: 403, bytes: 10, result: undefined }))).toEqual([
    "1 reg.test/app refused 1 0 10",
  ]);
});

test("a pull that shows who it is once it is asked for that is one line, with who it was", () => {
  const challenge = { status: 401, isChallenged: true, bytes: 10, error: "send credentials" };
  const [ann, bob] = [{ principal: "reg.test:ann" }, { principal: "reg.test:bob" }];
  const lines = audited(
    byTag(1000, "1", undefined, { ...challenge, isHead: true }),
    byTag(1010, "1", INDEX, { ...ann, isHead: true, bytes: 0 }),
    byDigest(1020, INDEX, ann),
    // At the same address.
    byTag(1030, "1", undefined, challenge),
    byTag(1040, "1", INDEX, bob),
    blob(1050, ann),
    blob(1060, bob),
    byTag(1070, "1", undefined, challenge),
    byTag(1080, "1", undefined, { status: 401, error: "is not accepted", bytes: 10 }),
    byTag(2000, "2", undefined, challenge),
    byTag(100_000, "1", INDEX, ann),
  );
  const words = lines.map(({ principal, image, outcome, requests, error }) =>
    [principal ?? "-", image, outcome, requests, error ?? ""].join(" ").trim(),
  );
  expect(words.toSorted()).toEqual([
    "- reg.test/app:1 refused 2 is not accepted",
    "- reg.test/app:2 challenged 1 send credentials",
    "reg.test:ann reg.test/app:1 pulled 1",
    "reg.test:ann reg.test/app:1 pulled 4",
    "reg.test:bob reg.test/app:1 pulled 3",
  ]);
});

test("however many pull at once, memory is bounded and each has its line", () => {
  const lines: AuditLine[] = [];
  const trail = new AuditTrail((line) => lines.push(line));
  for (let node = 0; node < 10_050; node += 1) {
    trail.add(byTag(1000, "1", INDEX, { client: `node-${node}` }));
  }
  expect(lines.map(({ client }) => client)).toEqual(
    Array.from({ length: 1000 }, (_, node) => `node-${node}`),
  );
  trail.endAll();
  expect(lines).toHaveLength(10_050);
});
