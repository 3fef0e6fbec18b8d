import { expect, test } from "bun:test";
import type { Status } from "../../../api/status.ts";
import { LOCAL_PROBLEM_KINDS } from "../../../telemetry/local-problems.ts";
import { healthOf, type HealthParts } from "./health.ts";

type UpstreamStatus = Status["upstreams"][number];

function upstream(
  name: string,
  state: UpstreamStatus["state"] = "ok",
  until?: number,
): UpstreamStatus {
  return {
    name,
    state,
    addresses: [
      {
        url: `https://${name}`,
        isMirror: false,
        circuit: "closed",
        ...(until === undefined ? {} : { rateLimitedUntil: until }),
      },
    ],
    rate: { used: 0 },
    credentials: { state: "none" },
    access: { mode: "open", entries: 0 },
    prefetch: { state: "on", downloaded: 0, asked: 0 },
    traffic: { responses: 3, fromCache: 0, sentBytes: 0, fetchedBytes: 0, savedBytes: 0 },
  };
}

const WARNINGS: readonly string[] = ["private images are open to the network"];

/** Of what health reads, what is set. */
function parts(
  some: Partial<Pick<HealthParts, "upstreams" | "problems" | "metadataProblem" | "rejected">> & {
    readonly isFull?: boolean;
    readonly machine?: readonly { readonly kind: string; readonly text: string }[];
  },
): HealthParts {
  const { upstreams = [upstream("docker.io"), upstream("ghcr.io")], isFull = false } = some;
  // Health reads no other figures of the storage and the machine.
  return {
    upstreams,
    problems: some.problems ?? [],
    warnings: WARNINGS,
    metadataProblem: some.metadataProblem,
    rejected: some.rejected,
    storage: { isFull, ...(isFull ? { fullReason: "raise storage.maxSize" } : {}) },
    machine: { problems: [...(some.machine ?? [])] },
  } as HealthParts;
}

/** What makes pulls wait. */
const SLOW = new Set<string>([
  "slow-disk",
  "failing-reads",
  "file-descriptors",
  "processes",
  "ports",
]);

const NOON = Date.UTC(2026, 10, 28, 12, 5);

test.each<[HealthParts, string, string]>([
  [parts({}), "ok", "All is well: no registry fails, and there is room on the disk."],
  [parts({ upstreams: [] }), "ok", "All is well, and no registry is configured."],
  [
    parts({ upstreams: [upstream("docker.io", "unavailable"), upstream("ghcr.io")] }),
    "degraded",
    "docker.io does not answer: its images that are stored here are served, and others fail.",
  ],
  [
    parts({ upstreams: ["a.test", "b.test"].map((name) => upstream(name, "unavailable")) }),
    "failing",
    "No registry answers: images that are stored here are served, and all others fail.",
  ],
  [
    parts({ upstreams: [upstream("docker.io", "rate-limited", NOON), upstream("ghcr.io")] }),
    "degraded",
    "docker.io limits this cache until 12:05 UTC: images that are stored here are served, and others wait.",
  ],
  [
    parts({ isFull: true }),
    "degraded",
    "Nothing can be stored: what is not here yet is passed on from the registries.",
  ],
  [
    parts({ machine: [{ kind: "slow-disk", text: "the disk is slow" }] }),
    "degraded",
    "This machine slows pulls down: the disk is slow.",
  ],
  [
    parts({
      machine: [
        { kind: "kubernetes", text: "the cluster cannot be read" },
        { kind: "slow-disk", text: "the disk is slow" },
        { kind: "audit", text: "the audit cannot be written" },
      ],
      problems: ["the cluster cannot be read", "the disk is slow", "the audit cannot be written"],
    }),
    "degraded",
    "This machine slows pulls down: the disk is slow (and 2 more problems).",
  ],
  ...LOCAL_PROBLEM_KINDS.filter((kind) => !SLOW.has(kind)).map(
    (kind): [HealthParts, string, string] => [
      parts({ machine: [{ kind, text: `the ${kind} fails` }], problems: [`the ${kind} fails`] }),
      "degraded",
      `The ${kind} fails.`,
    ],
  ),
  [
    parts({
      rejected: "the configuration is rejected: a:1:2: x",
      problems: ["the configuration is rejected: a:1:2: x", "another"],
    }),
    "degraded",
    "The configuration is rejected: a:1:2: x (and 1 more problem).",
  ],
  [
    parts({
      upstreams: [upstream("docker.io", "unavailable")],
      machine: [{ kind: "drill", text: "a drill goes on: docker.io counts as dead until 12:05" }],
    }),
    "degraded",
    "A drill goes on: docker.io counts as dead until 12:05.",
  ],
  [
    parts({ metadataProblem: "disk I/O error", isFull: true }),
    "failing",
    "The metadata database does not answer: registries are asked for everything, and what they do not give fails.",
  ],
  [
    parts({
      problems: ["the mirror https://m.test of docker.io is unavailable: it fails", "another"],
    }),
    "degraded",
    "The mirror https://m.test of docker.io is unavailable: it fails (and 1 more problem).",
  ],
])("of several problems, the worst is told (%#)", (some, state, sentence) => {
  expect(healthOf(some)).toMatchObject({
    state,
    sentence,
    problems: some.problems,
    warnings: [...WARNINGS],
  });
});
