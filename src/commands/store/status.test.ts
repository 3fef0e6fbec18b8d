import { expect, test } from "bun:test";
import { statusText } from "./status.ts";
import { type Status, statusSchema } from "../../api/status.ts";

const NOW = 1_800_000_000_000;
const ago = (seconds: number): number => NOW - seconds * 1000;
const [MIB, GIB] = [2 ** 20, 2 ** 30];

const traffic = { responses: 0, fromCache: 0, sentBytes: 0, fetchedBytes: 0, savedBytes: 0 };

const status: Status = {
  version: "0.1.0",
  health: { state: "ok", sentence: "All is well.", problems: [], warnings: [] },
  startedAt: ago(4 * 86_400 + 7200),
  listening: { listen: "0.0.0.0:5000", admin: "127.0.0.1:5001", ports: {} },
  storage: {
    dataDirectory: "/var/lib/entrepot",
    blobs: 1234,
    blobBytes: 30 * GIB,
    blobDiskBytes: 40 * GIB,
    partialBytes: GIB,
    databaseBytes: 700 * 2 ** 20,
    sidecarBytes: 324 * 2 ** 20,
    usedBytes: 42 * GIB,
    pinnedBytes: 2 * GIB,
    maxSize: 100 * GIB,
    minFree: GIB,
    free: 70 * GIB,
    inodes: { free: 6_000_000, total: 6_553_600 },
    isFull: false,
  },
  machine: {
    memory: {
      limit: 512 * MIB,
      resident: 100 * MIB,
      heapBasis: 48 * MIB,
      received: 4 * MIB,
      receivedNow: MIB,
      unsynced: 8 * MIB,
      downloads: 96,
      manifests: 16 * MIB,
      lists: 16 * MIB,
      smallBlobs: 12 * MIB,
      responses: 4 * MIB,
    },
    fileDescriptors: 40,
    fileDescriptorLimit: 1024,
    problems: [],
  },
  fills: [
    {
      digest: `sha256:${"ab".repeat(32)}`,
      source: "docker.io/library/nginx",
      size: 200 * 2 ** 20,
      received: 90 * 2 ** 20,
      resumedBytes: 45 * 2 ** 20,
      since: ago(9),
      clients: 3,
      connections: 5,
    },
    {
      digest: `sha256:${"cd".repeat(32)}`,
      source: "ghcr.io/org/app",
      received: 0,
      resumedBytes: 0,
      since: NOW,
      clients: 0,
      connections: 1,
    },
  ],
  rate: { used: 3 * MIB },
  upstreams: [
    {
      name: "docker.io",
      state: "ok",
      addresses: [
        {
          url: "https://mirror.test/hub/",
          isMirror: true,
          circuit: "open",
          reason: "another digest",
          since: ago(120),
          lastError: { message: "another digest", at: ago(120) },
        },
        {
          url: "https://registry-1.docker.io/",
          isMirror: false,
          circuit: "closed",
          budget: { remaining: 76, limit: 100, window: 21_600 },
        },
      ],
      rate: { used: 3 * MIB, limit: 4 * MIB, until: "18:00" },
      credentials: { state: "ok" },
      access: { mode: "mixed", entries: 2, credentialsFor: "others-and-public" },
      prefetch: { state: "on", downloaded: 40, asked: 38 },
      traffic: {
        responses: 1000,
        fromCache: 987,
        hitRatio: 0.987,
        sentBytes: 12 * GIB,
        fetchedBytes: GIB,
        savedBytes: 11 * GIB,
      },
    },
    {
      name: "ghcr.io",
      state: "rate-limited",
      addresses: [
        {
          url: "https://ghcr.io/",
          isMirror: false,
          circuit: "closed",
          since: ago(3),
          rateLimitedUntil: NOW + 40_000,
          lastError: { message: "ghcr.io returned 500", at: ago(3) },
        },
      ],
      rate: { used: 0 },
      credentials: { state: "none" },
      access: { mode: "open", entries: 0 },
      prefetch: { state: "paused", pausedUntil: NOW + 1_800_000, downloaded: 30, asked: 9 },
      traffic,
    },
  ],
  problems: [],
};

test("warnings are told before problems", () => {
  const health = { ...status.health, warnings: ["private images are open"] };
  expect(statusText({ ...status, health }, NOW)).toEndWith(
    "\n\nWarnings:\n  private images are open\n\nNo problems found.",
  );
});

test("the status is one screen of tables, with the problems at the end", () => {
  expect(statusSchema.parse(status)).toEqual(status);
  const problems = ["the mirror is unavailable", "ghcr.io is rate limiting this cache"];
  expect(statusText({ ...status, problems }, NOW).split("\n")).toEqual([
    "Entrepot 0.1.0 at 0.0.0.0:5000, admin at 127.0.0.1:5001, up 4 d 2 h",
    "",
    "All is well.",
    "",
    "Store      /var/lib/entrepot",
    "           42 GiB of 100 GiB used (42 %): 1234 blobs, 1 GiB downloading, 2 GiB pinned",
    "           of which 700 MiB metadata database, 324 MiB sidecar files",
    "Disk       70 GiB free, 1 GiB kept free, not full, 6000000 of 6553600 inodes free",
    "Memory     100 MiB of 512 MiB used: 48 MiB for caches, 4 MiB for bytes that are not written yet (1 MiB now), 96 downloads at once",
    "Files      40 of 1024 descriptors open",
    "Rates      all upstreams: 3 MiB/s, no limit",
    "           docker.io: 3 MiB/s, at most 4 MiB/s until 18:00",
    "",
    "DOWNLOAD                                         SIZE  DONE    SPEED  TIME LEFT  CLIENTS  CONNECTIONS",
    "docker.io/library/nginx@sha256:abababababab…  200 MiB  45 %  5 MiB/s       22 s        3            5",
    "ghcr.io/org/app@sha256:cdcdcdcdcdcd…                -   0 B    0 B/s          -        0            1",
    "",
    "UPSTREAM   STATE         RESPONSES  HIT RATE    SENT   SAVED  ACCESS             CREDENTIALS                  PREFETCH",
    "docker.io  ok                 1000      98 %  12 GiB  11 GiB  mixed (2 entries)  ok: public and other images  38 of 40 asked for",
    "ghcr.io    rate-limited          0         -     0 B     0 B  open               none                         paused for 30 min: 9 of 30 asked for",
    "",
    "ADDRESS                       STATE            RATE LIMIT              LAST ERROR",
    "https://mirror.test/hub       down for 2 min   -                       2 min ago: another digest",
    "https://registry-1.docker.io  ok               76 of 100 left per 6 h  -",
    "https://ghcr.io               failing for 3 s  limited for 40 s        just now: ghcr.io returned 500",
    "",
    "Problems:",
    "  the mirror is unavailable",
    "  ghcr.io is rate limiting this cache",
  ]);
});

test("without downloads and problems, the status says so", () => {
  const text = statusText({ ...status, fills: [] }, NOW);
  expect(text).toContain("\n\nDownloads  none in progress\n\n");
  expect(text).toEndWith("\n\nNo problems found.");
});

test("rates are shown where one is limited, now or later", () => {
  const [one] = status.upstreams;
  if (!one) throw new Error("no upstream");
  const text = (all: Status["rate"], own: Status["rate"]) =>
    statusText({ ...status, rate: all, upstreams: [{ ...one, rate: own }] }, NOW);
  expect(text({ used: 5 }, { used: 5 })).not.toContain("Rates");
  expect(text({ used: 5, until: "22:00" }, { used: 5 })).toContain(
    "\nRates      all upstreams: 5 B/s, no limit until 22:00\n\n",
  );
  expect(text({ used: 0, limit: 20 * MIB }, { used: 0 })).toContain(
    "\nRates      all upstreams: 0 B/s, at most 20 MiB/s\n\n",
  );
});

test("of many downloads, the oldest 15 are shown with the number of the others", () => {
  const [one] = status.fills;
  const fills = Array.from({ length: 40 }, () => one).flatMap((fill) => fill ?? []);
  expect(statusText({ ...status, fills }, NOW)).toContain("\n… and 25 more\n");
});

test.each<[Status["upstreams"][number]["prefetch"], string]>([
  [{ state: "on", downloaded: 0, asked: 0 }, "-"],
  [{ state: "off", downloaded: 3, asked: 3 }, "off"],
])("what is downloaded ahead: %j", (prefetch, expected) => {
  const upstreams = status.upstreams.slice(0, 1).flatMap((upstream) => [{ ...upstream, prefetch }]);
  const line = statusText({ ...status, upstreams }, NOW).match(/^docker\.io +ok .*$/m)?.[0];
  expect(line?.split(/ {2,}/).at(-1)).toBe(expected);
});
