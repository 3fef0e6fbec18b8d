import { expect, test } from "bun:test";
import { FakeFiles } from "../nodetest/fake-files.ts";
import { readDaemonJson } from "./daemon-json.ts";

const PATH = "/etc/docker/daemon.json";
const read = (text: string) => readDaemonJson(new FakeFiles({ [PATH]: text }), PATH, []);

// What dockerd 28.5 answers to `--validate`, or when it is started.
test.each([
  ["null in place of a list", `{"registry-mirrors": null, "insecure-registries": null}`],
  ["a slash at the end", `{"registry-mirrors": ["https://a.test/", "HTTP://b.test"]}`],
  ["a path", `{"registry-mirrors": ["https://a.test/hub"]}`],
  ["a byte order mark", `\uFEFF{"registry-mirrors": ["https://a.test"]}`],
  ["an empty file", " \n"],
])("dockerd takes %s", (_, text) => {
  expect(read(text)).not.toHaveProperty("defects");
});

test.each([
  ["a key in another case", `{\n"Registry-Mirrors": []}`, 2, "Registry-Mirrors is no key"],
  ["a mirror without a scheme", `{"registry-mirrors": ["a.test:5000"]}`, 1, "no URL"],
  ["another scheme", `{"registry-mirrors": ["ftp://a.test"]}`, 1, "no URL"],
  ["a query", `{"registry-mirrors": ["https://a.test?x"]}`, 1, "a query or a fragment"],
  ["credentials", `{\n\n"registry-mirrors": ["https://u:s3cret@a.test"]}`, 3, "has credentials"],
  ["credentials alone", `{"registry-mirrors": ["u:s3cret@a.test"]}`, 1, "no URL"],
  ["a number", `{"registry-mirrors": [1]}`, 1, "is not a list of strings"],
])("dockerd does not start with %s", (_, text, line, what) => {
  const result = read(text);
  expect(result).toMatchObject({
    defects: [{ at: { file: PATH, line }, what: expect.stringContaining(what) }],
  });
  expect(JSON.stringify(result)).not.toContain("s3cret");
});

test("of keys with the same name the last one counts", () => {
  const twice = `"registry-mirrors": ["https://a.test"], "features": {"containerd-snapshotter": false}`;
  const text = `{${twice}, ${twice.replace("a.test", "b.test").replace("false", "true")}}`;
  expect(read(text)).toMatchObject({ mirrors: ["https://b.test"], containerdStore: true });
});
