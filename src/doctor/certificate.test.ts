import { expect, test } from "bun:test";
import { makeCertificate } from "../../test/harness/certificates.ts";
import { tempDir } from "../../test/harness/places.ts";
import { loadSettings } from "../config/load.ts";
import { certificateFindings } from "./certificate.ts";
import type { Machine } from "./machine.ts";

const DAY = 86_400_000;
const links = [
  { ifname: "eth0", addr_info: [{ family: "inet", local: "10.0.0.5", scope: "global" }] },
];
const machine: Machine = {
  read: () => undefined,
  list: () => [],
  run: () => JSON.stringify(links),
};

const cases: [what: string, names: string[], days: number, said: string[]][] = [
  ["a name", ["cache.test"], 0, ["note: valid for", "ok: for cache.test"]],
  ["its address", ["10.0.0.5"], 0, ["note: valid for", "ok: for 10.0.0.5"]],
  [
    "another address",
    ["10.9.9.9"],
    0,
    ["note: valid for", "problem: for 10.9.9.9, which are no addresses of this machine"],
  ],
  ["past", ["cache.test"], 3, ["problem: expired on", "ok: for cache.test"]],
  ["to come", ["cache.test"], -3, ["problem: not valid before", "ok: for cache.test"]],
];

test.each(cases)("a certificate: %s", async (_, names, days, said) => {
  await using folder = await tempDir("certificate");
  const pair = await makeCertificate(folder, names);
  const settings = { ...loadSettings(), tls: pair };
  const found = certificateFindings(settings, machine, Date.now() + days * DAY);
  expect(found.map((row) => `${row.state}: ${row.found}`)).toEqual(
    said.map((text) => expect.stringContaining(text)),
  );
});

test("nothing is said of one where there is none", () => {
  expect(certificateFindings(loadSettings(), machine)).toEqual([]);
});
