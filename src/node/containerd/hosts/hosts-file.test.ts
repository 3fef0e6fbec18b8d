import { expect, test } from "bun:test";
import { readHostsFile } from "./hosts-file.ts";
import { parseContainerdVersion, traitsOf } from "../traits.ts";

function traits(text: string) {
  const version = parseContainerdVersion(text);
  if (!version) throw new Error(text);
  return traitsOf(version);
}

const read = (text: string, version: string) => readHostsFile(text, "/c/d", traits(version));
const host = `[host."http://m:5000"]\n`;

// From tests on real containerd of these versions.
const cases: [name: string, text: string, version: string, isRead: boolean, hosts: string[]][] = [
  ["a plain file is read", `server = "https://r"\n${host}`, "1.6.20", true, ["http://m:5000"]],
  [
    "a server without hosts is an error before 1.7.32",
    `server = "https://r"\n`,
    "1.7.24",
    false,
    [],
  ],
  ["a server without hosts is read from 1.7.32 on", `server = "https://r"\n`, "1.7.32", true, []],
  ["a server without hosts is read in 2.0", `server = "https://r"\n`, "2.0.0", true, []],
  [
    "the capability referrers is an error before 2.2",
    `${host}capabilities = ["referrers"]\n`,
    "2.1.9",
    false,
    ["http://m:5000"],
  ],
  [
    "the capability referrers is read in 2.2",
    `${host}capabilities = ["referrers"]\n`,
    "2.2.0",
    true,
    ["http://m:5000"],
  ],
  [
    "a numeric dial_timeout is ignored before 2.0.7",
    `${host}dial_timeout = 1\n`,
    "2.0.6",
    true,
    ["http://m:5000"],
  ],
  [
    "a numeric dial_timeout is an error in 2.0.7",
    `${host}dial_timeout = 1\n`,
    "2.0.7",
    false,
    ["http://m:5000"],
  ],
  [
    "an unknown key is ignored",
    `${host}capabilites = ["pull"]\n`,
    "2.1.9",
    true,
    ["http://m:5000"],
  ],
  [
    "inline hosts are read on 1.x",
    `[host]\n"http://m:5000" = {}\n`,
    "1.7.24",
    true,
    ["http://m:5000"],
  ],
  ["inline hosts are dropped on 2.x", `[host]\n"http://m:5000" = {}\n`, "2.1.9", true, []],
  [
    "dotted hosts are dropped on 2.x",
    `host."http://m:5000".skip_verify = true\n`,
    "2.1.9",
    true,
    [],
  ],
  [
    "a host with only a header table is read",
    `[host."http://m:5000".header]\nx = "y"\n`,
    "2.1.9",
    true,
    ["http://m:5000"],
  ],
  ["a byte order mark is accepted on 1.x", `\uFEFF${host}`, "1.7.24", true, ["http://m:5000"]],
  ["a byte order mark is an error on 2.x", `\uFEFF${host}`, "2.1.9", false, ["http://m:5000"]],
  ["invalid UTF-8 is an error on 2.x", `# caf\uFFFD\n${host}`, "2.1.9", false, ["http://m:5000"]],
  ["a host table that occurs twice is an error", host + host, "1.6.20", false, []],
];

test.each(cases)("%s", (_, text, version, isRead, hosts) => {
  const file = read(text, version);
  expect({ isRead: file.isRead, hosts: file.hosts.map((it) => it.url) }).toEqual({ isRead, hosts });
});

test("hosts are in the order of their headers", () => {
  const file = read(`[host."http://z"]\n[host."http://a"]\n[host."http://m"]\n`, "2.1.9");
  expect(file.hosts.map((it) => it.url)).toEqual(["http://z", "http://a", "http://m"]);
});

test("every field is read, with paths relative to the file's directory", () => {
  const text = `server = "https://r"\nca = "r.pem"\n[host."https://m"]\n  capabilities = ["pull"]\n  ca = ["m.pem", "/abs.pem"]\n  client = [["c.pem", "k.pem"], "both.pem"]\n  skip_verify = false\n  override_path = true\n  dial_timeout = "1s"\n  [host."https://m".header]\n    a = "b"\n    c = ["d", "e"]\n`;
  expect(read(text, "2.1.9")).toMatchObject({
    server: "https://r",
    root: { ca: ["/c/d/r.pem"] },
    hosts: [
      {
        url: "https://m",
        line: 3,
        capabilities: ["pull"],
        ca: ["/c/d/m.pem", "/abs.pem"],
        client: [
          ["/c/d/c.pem", "/c/d/k.pem"],
          ["/c/d/both.pem", ""],
        ],
        skipVerify: false,
        overridePath: true,
        dialTimeout: "1s",
        headers: { a: ["b"], c: ["d", "e"] },
      },
    ],
  });
});

const defects: [text: string, kind: string, line: number][] = [
  [`[host."m:5000"]\n`, "no-scheme", 1],
  [`\n[host."https://m/v2/p"]\n`, "doubled-v2", 2],
  [`[host."https://m"]\noverride_path = true\n`, "bare-override", 1],
  [`server = "https://docker.io"\n${host}`, "hub-server", 1],
  [`${host}ca = "x"\n`, "http-with-tls", 1],
  [`[host."https://m"]\nca = "x"\nskip_verify = true\n`, "ca-and-skip-verify", 1],
  [`${host}server = "https://r"\n`, "server-in-host", 2],
  [`${host}skip_verify = "yes"\n`, "wrong-type", 2],
  [`[host\n`, "syntax", 1],
];

test.each(defects)("%j has the defect %s in line %i", (text, kind, line) => {
  expect(read(text, "2.1.9").defects).toContainEqual(expect.objectContaining({ kind, line }));
});

test("a path that has override_path or ends in /v2 is no defect", () => {
  const text = `[host."https://m/v2/p"]\noverride_path = true\n[host."https://m/v2"]\n[host."https://m/v2/"]\n`;
  expect(read(text, "2.1.9").defects).toEqual([]);
});
