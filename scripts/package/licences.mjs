// The copyright notices of what the executable contains: packages of npm, and Bun.
import fs from "node:fs";
import path from "node:path";
import { root } from "../bun.mjs";

const LICENCE_FILE = /^(?:licen[sc]e|copying|unlicense)(?:\.|$)/i;

/** Packages without code: types alone. Bun has its own notice. */
const isWithoutCode = (name) =>
  name === "bun" || name.startsWith("@types/") || name === "undici-types";

/** The packages that an installation without development dependencies has, as package-lock.json lists them. */
export function bundledPackages() {
  const lock = JSON.parse(fs.readFileSync(path.join(root, "package-lock.json"), "utf8"));
  return Object.entries(lock.packages)
    .filter(([place, entry]) => place !== "" && !entry.dev && !entry.optional)
    .map(([place, { version, license }]) => ({
      name: place.slice(place.lastIndexOf("node_modules/") + "node_modules/".length),
      version,
      licence: license,
      place: path.join(root, place),
    }))
    .filter(({ name }) => !isWithoutCode(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The notice of everything that is not Entrepot's own.
 *
 * @param apache where the reader finds the text of the Apache License
 */
export function thirdPartyNotices(apache) {
  const bun = fs.readFileSync(path.join(root, "deploy/packages/bun-notice.txt"), "utf8").trim();
  const { version } = readJson(path.join(root, "node_modules/bun"));
  const parts = [`Bun ${version}\n\n${bun}`];
  for (const { name, version: of, licence, place } of bundledPackages()) {
    parts.push(`${name} ${of}: ${licence}\n\n${notice(place, licence, apache)}`);
  }
  return `${parts.join(`\n\n${"-".repeat(76)}\n\n`)}\n`;
}

function notice(place, licence, apache) {
  const file = fs.readdirSync(place).find((name) => LICENCE_FILE.test(name));
  if (file === undefined) {
    const { author } = readJson(place);
    const who = typeof author === "string" ? author : author?.name;
    return `${who === undefined ? "" : `Copyright: ${who}\n`}The package has no text of its licence, and names it in package.json: ${licence}`;
  }
  const text = fs.readFileSync(path.join(place, file), "utf8").replaceAll("\r\n", "\n").trim();
  if (!/Apache License\s+Version 2\.0/.test(text)) return text;
  // The text is there once. Lines of the appendix that shows how to write a notice are none.
  const owners = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => /^copyright (?:\(c\) )?\d{4}/i.test(line));
  return [...owners, `Licensed under the Apache License 2.0: ${apache}`].join("\n");
}

function readJson(folder) {
  return JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
}
