import { expect, test } from "bun:test";
import { makeCertificate } from "../../test/harness/services/certificates.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { loadSettings } from "../config/load.ts";
import { certificateFindings } from "./certificate.ts";
import type { Machine } from "./machine.ts";

const DAY_MS = 86_400_000;
const links = [
  { ifname: "eth0", addr_info: [{ family: "inet", local: "10.0.0.5", scope: "global" }] },
];
const machine: Machine = {
  read: () => undefined,
  link: () => undefined,
  list: () => [],
  run: () => JSON.stringify(links),
};

const cases: [what: string, names: string[], days: number, expected: string[]][] = [
  ["for a DNS name", ["cache.test"], 0, ["note: valid for", "ok: for cache.test"]],
  ["for this machine's address", ["10.0.0.5"], 0, ["note: valid for", "ok: for 10.0.0.5"]],
  [
    "for another address only",
    ["10.9.9.9"],
    0,
    ["note: valid for", "problem: for 10.9.9.9, but this machine has none of these addresses"],
  ],
  ["that has expired", ["cache.test"], 3, ["problem: expired on", "ok: for cache.test"]],
  [
    "that is not valid yet",
    ["cache.test"],
    -3,
    ["problem: not valid before", "ok: for cache.test"],
  ],
];

test.each(cases)("a certificate %s", async (_, names, days, expected) => {
  await using folder = await tempDir("certificate");
  const pair = await makeCertificate(folder, names);
  const settings = { ...loadSettings(), tls: pair };
  const findings = certificateFindings(settings, machine, Date.now() + days * DAY_MS);
  expect(findings.map(({ state, found }) => `${state}: ${found}`)).toEqual(
    expected.map((text) => expect.stringContaining(text)),
  );
});

test("without TLS there are no certificate findings", () => {
  expect(certificateFindings(loadSettings(), machine)).toEqual([]);
});
