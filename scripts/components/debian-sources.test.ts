import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseDeb822, parseOneLine, sourceFor } from "./debian-sources.mjs";

function withEtc(files: Record<string, string>, use: (etc: string) => void): void {
  const etc = mkdtempSync(join(tmpdir(), "entrepot-etc-"));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(etc, name)), { recursive: true });
      writeFileSync(join(etc, name), text);
    }
    use(etc);
  } finally {
    rmSync(etc, { recursive: true });
  }
}

const osRelease = 'ID=debian\nVERSION_CODENAME=bookworm\nVERSION="12 (bookworm)"\n';

test("one-line sources are parsed with options; comments and other lines are ignored", () => {
  const text = [
    "# deb http://commented.test/debian bookworm main",
    "deb-src http://source.test/debian bookworm main",
    "deb [ arch=amd64,arm64 signed-by=/k.gpg ] http://a.test/debian bookworm main contrib # why",
    "deb http://b.test/flat ./",
  ].join("\n");
  expect(parseOneLine(text)).toEqual([
    {
      uris: ["http://a.test/debian"],
      suites: ["bookworm"],
      components: ["main", "contrib"],
      options: [
        ["Architectures", "amd64 arm64"],
        ["signed-by", "/k.gpg"],
      ],
    },
    { uris: ["http://b.test/flat"], suites: ["./"], components: [], options: [] },
  ]);
});

test("deb822 sources are parsed with comments, an embedded key and a disabled stanza", () => {
  const text = [
    "Types: deb deb-src",
    "# a remark",
    "URIs: http://a.test/debian",
    "Suites: bookworm bookworm-updates",
    "Components: main",
    "Signed-By:",
    " -----BEGIN PGP PUBLIC KEY BLOCK-----",
    " .",
    " abc=",
    "",
    "Types: deb",
    "Enabled: no",
    "URIs: http://off.test/debian",
    "Suites: bookworm",
    "Components: main",
    "",
  ].join("\n");
  expect(parseDeb822(text)).toEqual([
    {
      uris: ["http://a.test/debian"],
      suites: ["bookworm", "bookworm-updates"],
      components: ["main"],
      options: [["Signed-By", "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc="]],
    },
  ]);
});

test("the source for another suite uses this machine's archive, never its security archive", () => {
  const files = {
    "os-release": osRelease,
    "apt/sources.list.d/aaa.list": "deb http://other.test/apt nodistro main\n",
    "apt/sources.list.d/debian.sources":
      "Types: deb\nURIs: http://s.test/debian-security\nSuites: bookworm-security\nComponents: main\n\n" +
      "Types: deb\nURIs: http://m.test/debian\nSuites: bookworm\nComponents: main\nSigned-By: /k.gpg\n",
  };
  withEtc(files, (etc) => {
    expect(sourceFor("forky", etc)).toBe(
      "Types: deb\nURIs: http://m.test/debian\nSuites: forky\nComponents: main\nSigned-By: /k.gpg\n",
    );
  });
});

test("a machine without a source of its own suite is an error", () => {
  withEtc({ "os-release": osRelease }, (etc) => {
    expect(() => sourceFor("forky", etc)).toThrow("has the suite bookworm with component main");
  });
});
