// Reads this machine's apt sources, so that packages of another suite come from the mirror that
// this machine is configured to use.
import fs from "node:fs";
import path from "node:path";

/**
 * A deb822 source for `suite`, with the mirror and keys of this machine's own Debian source.
 *
 * @throws Error if there is no source of this machine's own suite
 */
export function sourceFor(suite, etc = "/etc") {
  const codename = ownSuite(etc);
  const entries = readSources(path.join(etc, "apt"));
  // Exact match: `-security` suites are in a separate archive, which has no other suites.
  const own = entries.find(
    (entry) =>
      entry.suites.some((name) => name === codename || name === "stable") &&
      entry.components.includes("main"),
  );
  if (own === undefined) {
    throw new Error(`no apt source of this machine has the suite ${codename} with component main`);
  }
  return [
    "Types: deb",
    `URIs: ${own.uris.join(" ")}`,
    `Suites: ${suite}`,
    "Components: main",
    ...own.options.map(([name, value]) => `${name}: ${value}`),
    "",
  ].join("\n");
}

/** The Debian suite of this machine. */
export function ownSuite(etc = "/etc") {
  const codename = /^VERSION_CODENAME="?([^"\n]+)/m.exec(read(path.join(etc, "os-release")))?.[1];
  return codename ?? "stable";
}

/**
 * All enabled `deb` entries of an apt configuration folder, in the order in which apt reads them.
 */
export function readSources(aptDir) {
  const parts = path.join(aptDir, "sources.list.d");
  const files = fs.existsSync(parts) ? fs.readdirSync(parts).sort() : [];
  return [
    ...parseOneLine(read(path.join(aptDir, "sources.list"))),
    ...files.flatMap((name) => {
      const text = read(path.join(parts, name));
      if (name.endsWith(".sources")) return parseDeb822(text);
      return name.endsWith(".list") ? parseOneLine(text) : [];
    }),
  ];
}

/**
 * Parses lines such as `deb [signed-by=/x arch=amd64] http://mirror suite main contrib # comment`.
 */
export function parseOneLine(text) {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)([^#]*)/.exec(line);
    if (match === null) return [];
    const [, options = "", uri, suite, components] = match;
    return [
      {
        uris: [uri],
        suites: [suite],
        components: words(components),
        options: words(options).map((option) => {
          const [name = "", value = ""] = option.split(/\+?=(.*)/s);
          return [longNames[name.toLowerCase()] ?? name, value.replaceAll(",", " ")];
        }),
      },
    ];
  });
}

/** Options whose deb822 field is named differently from the one-line option. */
const longNames = { arch: "Architectures", lang: "Languages", target: "Targets" };

/** Fields that are not options. */
const structure = new Set(["types", "uris", "suites", "components", "enabled", "x-repolib-name"]);

/**
 * Parses deb822 stanzas, which empty lines separate; a line that begins with a blank continues a
 * field.
 */
export function parseDeb822(text) {
  const withoutComments = text.split("\n").filter((line) => !line.startsWith("#"));
  return withoutComments
    .join("\n")
    .split(/\n\s*\n/)
    .flatMap((stanza) => {
      const fields = new Map();
      for (const [, name, value] of stanza.matchAll(/^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)/gm)) {
        fields.set(name.toLowerCase(), [name, value.trimEnd()]);
      }
      const list = (name) => words(fields.get(name)?.[1] ?? "");
      if (!list("types").includes("deb") || list("enabled")[0]?.toLowerCase() === "no") return [];
      return [
        {
          uris: list("uris"),
          suites: list("suites"),
          components: list("components"),
          options: [...fields].filter(([key]) => !structure.has(key)).map(([, field]) => field),
        },
      ];
    });
}

function words(text) {
  return text.split(/\s+/).filter((word) => word !== "");
}

function read(file) {
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
}
