import { expect, test } from "bun:test";
import { statusText } from "./status.ts";
import { type Status, statusSchema } from "../status-schema.ts";

const NOW = 1_800_000_000_000;
const ago = (seconds: number): number => NOW - seconds * 1000;
const GIB = 2 ** 30;

const traffic = { answers: 0, fromHere: 0, sentBytes: 0, fetchedBytes: 0, savedBytes: 0 };

const told: Status = {
  version: "0.1.0",
  startedAt: ago(4 * 86_400 + 7200),
  listening: { listen: "0.0.0.0:5000", admin: "127.0.0.1:5001", ports: {} },
  storage: {
    dataDirectory: "/var/lib/entrepot",
    blobs: 1234,
    blobBytes: 41 * GIB,
    partialBytes: GIB,
    pinnedBytes: 2 * GIB,
    maxSize: 100 * GIB,
    minFree: GIB,
    free: 70 * GIB,
    isFull: false,
  },
  fills: [
    {
      digest: `sha256:${"ab".repeat(32)}`,
      source: "docker.io/library/nginx",
      size: 200 * 2 ** 20,
      received: 90 * 2 ** 20,
      kept: 45 * 2 ** 20,
      since: ago(9),
      clients: 3,
    },
    {
      digest: `sha256:${"cd".repeat(32)}`,
      source: "ghcr.io/org/app",
      received: 0,
      kept: 0,
      since: NOW,
      clients: 0,
    },
  ],
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
      credentials: { state: "ok" },
      traffic: {
        answers: 1000,
        fromHere: 987,
        hitRatio: 0.987,
        sentBytes: 12 * GIB,
        fetchedBytes: GIB,
        savedBytes: 11 * GIB,
      },
    },
    {
      name: "ghcr.io",
      state: "limited",
      addresses: [
        {
          url: "https://ghcr.io/",
          isMirror: false,
          circuit: "closed",
          since: ago(3),
          limitedUntil: NOW + 40_000,
          lastError: { message: "ghcr.io returned 500", at: ago(3) },
        },
      ],
      credentials: { state: "none" },
      traffic,
    },
  ],
  problems: [],
};

test("it is a screen of tables, with what is wrong at the end", () => {
  expect(statusSchema.parse(told)).toEqual(told);
  const problems = ["the mirror is not asked", "ghcr.io limits how often it is asked"];
  expect(statusText({ ...told, problems }, NOW).split("\n")).toEqual([
    "Entrepot 0.1.0 at 0.0.0.0:5000, admin at 127.0.0.1:5001, up 4 d 2 h",
    "",
    "Store      /var/lib/entrepot",
    "           42 GiB of 100 GiB (42 %) in 1234 blobs: 1 GiB of it on the way in, 2 GiB pinned, not full",
    "           70 GiB free on the disk, 1 GiB of it to stay free",
    "",
    "DOWNLOAD                                         SIZE  DONE    SPEED  LEFT  CLIENTS",
    "docker.io/library/nginx@sha256:abababababab…  200 MiB  45 %  5 MiB/s  22 s        3",
    "ghcr.io/org/app@sha256:cdcdcdcdcdcd…                -   0 B    0 B/s     -        0",
    "",
    "UPSTREAM   STATE    ANSWERS  HITS  SERVED   SAVED  CREDENTIALS",
    "docker.io  ok          1000  98 %  12 GiB  11 GiB  ok",
    "ghcr.io    limited        0     -     0 B     0 B  none",
    "",
    "ADDRESS                       STATE            BUDGET             LAST ERROR",
    "https://mirror.test/hub       out for 2 min    -                  2 min ago: another digest",
    "https://registry-1.docker.io  ok               76 of 100 per 6 h  -",
    "https://ghcr.io               failing for 3 s  none for 40 s      just now: ghcr.io returned 500",
    "",
    "Wrong:",
    "  the mirror is not asked",
    "  ghcr.io limits how often it is asked",
  ]);
});

test("what is empty says so", () => {
  const text = statusText({ ...told, fills: [] }, NOW);
  expect(text).toContain("\n\nDownloads  none under way\n\n");
  expect(text).toEndWith("\n\nNothing is wrong.");
});

test("of very many downloads the oldest are shown, and how many more there are", () => {
  const [one] = told.fills;
  const fills = Array.from({ length: 40 }, () => one).flatMap((fill) => fill ?? []);
  expect(statusText({ ...told, fills }, NOW)).toContain("\n… and 25 more\n");
});
