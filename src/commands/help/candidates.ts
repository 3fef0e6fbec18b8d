import { homedir } from "node:os";
import { Command } from "commander";
import { z } from "zod";
import { MAX_PAGE } from "../../api/page.ts";
import { DEFAULT_UPSTREAMS } from "../../config/settings.ts";
import { AdminClient } from "../api/admin-client.ts";
import { findCache } from "../connection/find-cache.ts";

/** After this time, in milliseconds, a shell waits no longer for values. */
const DEADLINE = 3000;
/** More than anybody reads; the rest appears once more is typed. */
const MOST = 500;

const namespaces = z.object({ namespaces: z.array(z.string()) });
/**
 * What completion scripts call for values that only the cache or its configuration knows: a line each.
 * It prints no error and ends in time, whatever is wrong, since somebody is typing.
 */
export function candidatesCommand(): Command {
  return new Command("__complete")
    .argument("<source>")
    .argument("<prefix>")
    .argument("[words...]")
    .helpOption(false)
    .action(async (source: string, typed: string, words: string[]) => {
      setTimeout(() => process.exit(), DEADLINE).unref();
      const prefix = typed.replace(/^--[a-z-]+=/, "");
      const found = await candidates(source, prefix, flagsOf(words)).catch(() => []);
      const lines = [...new Set(found)].filter((one) => one.startsWith(prefix) && isPrintable(one));
      process.stdout.write(
        lines
          .slice(0, MOST)
          .map((one) => `${one}\n`)
          .join(""),
      );
    });
}

const FLAGS = ["config", "admin", "ca", "data", "cache"] as const;

type Flags = Readonly<Partial<Record<(typeof FLAGS)[number], string>>>;

/** A name from a registry must not reach a terminal as anything but text. */
function isPrintable(text: string): boolean {
  return /^[\w./:@*-]+$/.test(text);
}

async function candidates(source: string, prefix: string, flags: Flags): Promise<string[]> {
  if (source === "upstreams") return upstreams(flags);
  const client = new AdminClient(findCache(flags).endpoint);
  if (source === "pins") {
    return (await client.ask(client.api.GET("/pins"))).items.map(({ pattern }) => pattern);
  }
  if (source === "freezes") {
    const params = { query: { active: "true" } } as const;
    const { items } = await client.ask(client.api.GET("/overrides", { params }));
    return items.filter(({ kind }) => kind === "freeze").map(({ pattern }) => pattern);
  }
  if (source !== "images") return [];
  // The path of the image is asked for, and the tag is looked for here.
  const pattern = `${prefix.replace(/:[^/]*$/, "")}*:*`;
  const query = { pattern, limit: MAX_PAGE };
  const { items } = await client.ask(client.api.GET("/images", { params: { query } }));
  return items.map(({ image, tag, digest }) =>
    tag === undefined ? `${image}@${digest}` : `${image}:${tag}`,
  );
}

/** Of the cache that is named, or else those of the configuration. */
async function upstreams(flags: Flags): Promise<string[]> {
  if (flags.cache !== undefined) {
    const response = await fetch(new URL("/entrepot/v1/namespaces", flags.cache));
    return namespaces.parse(await response.json()).namespaces;
  }
  try {
    return [...findCache(flags).settings.upstreams.keys()];
  } catch {
    return [...DEFAULT_UPSTREAMS];
  }
}

/** The flags by which the cache is found, among the words that were typed so far. */
function flagsOf(words: readonly string[]): Flags {
  const flags: Partial<Record<keyof Flags, string>> = {};
  words.forEach((word, index) => {
    const [, typed, value = words[index + 1]] = /^--([a-z]+)(?:=(.*))?$/.exec(word) ?? [];
    const name = FLAGS.find((flag) => flag === typed);
    if (name !== undefined && value !== undefined) flags[name] = unquoted(value);
  });
  return flags;
}

/** Shells pass on words as they were typed. What only a shell can evaluate, such as a variable, is left. */
function unquoted(word: string): string {
  const [, , inner] = /^(["'])(.*)\1$/.exec(word) ?? [];
  return inner ?? word.replace(/^~(?=\/)/, homedir()).replaceAll(/\\(.)/g, "$1");
}
