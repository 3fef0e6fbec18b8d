import { expect, test } from "bun:test";
import { FakeFiles } from "../nodetest/fake-files.ts";
import { readRegistries, ruling } from "./registries.ts";

const PATH = "/etc/containers/registries.conf";
const read = (text: string) => readRegistries(new FakeFiles({ [PATH]: text }));

// What Podman 4.3 shows in `podman info`.
test.each([
  ["keys in another case", `[[Registry]]\nPREFIX = "a.corp"\nBlocked = true\n`],
  ["a slash at the end", `[[registry]]\nlocation = "a.corp/"\nblocked = true\n`],
  ["an inline array", `registry = [{location = "a.corp", blocked = true}]\n`],
  ["version 1 of the format", `[registries.block]\nregistries = ["a.corp"]\n`],
])("an entry is found with %s", (_, text) => {
  const registries = read(text);
  expect(registries.defects).toEqual([]);
  expect(ruling(registries, "a.corp")).toMatchObject({ location: "a.corp", blocked: true });
});

test.each([
  ["a byte order mark", `\uFEFF[[registry]]\nlocation = "a.corp"\n`, 1],
  [
    "two entries that disagree",
    `[[registry]]\nlocation = "a.corp"\n[[registry]]\nlocation = "a.corp"\ninsecure = true\n`,
    3,
  ],
  ["an entry without a name", `[[registry]]\ninsecure = true\n`, 1],
  ["a scheme", `[[registry]]\nlocation = "https://a.corp"\n`, 1],
  [
    "both settings of mirrors by digest",
    `\n[[registry]]\nlocation = "a.corp"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m"\npull-from-mirror = "all"\n`,
    2,
  ],
])("every pull fails with %s", (_, text, line) => {
  expect(read(text).defects).toMatchObject([{ at: { file: PATH, line } }]);
});

test("names without an entry of their own follow the longest wildcard", () => {
  const registries = read(
    `[[registry]]\nprefix = "*.corp"\nblocked = true\n[[registry]]\nprefix = "*.b.corp"\nlocation = "hub.test/b"\n[[registry]]\nlocation = "own.corp"\n`,
  );
  expect(ruling(registries, "a.corp")).toMatchObject({ location: "a.corp", blocked: true });
  expect(ruling(registries, "a.b.corp")).toMatchObject({ location: "hub.test/b" });
  expect(ruling(registries, "own.corp")).not.toHaveProperty("blocked");
  expect(ruling(registries, "corp")).toBeUndefined();
});
