import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { defaultUrl } from "../../config/settings.ts";
import { parseUpstreamName } from "../../oci/names.ts";
import {
  RenderError,
  type RenderedFile,
  type RenderedUpstream,
  type Target,
} from "../../render/target.ts";
import { render, TARGETS } from "../../render/targets.ts";
import { readCa } from "../node/ca-file.ts";
import { UsageError } from "../node/node-options.ts";

interface RenderOptions {
  readonly cache?: URL;
  readonly ca?: string;
  readonly upstream?: readonly RenderedUpstream[];
  readonly address?: string;
  readonly gateway?: string;
  readonly output?: string;
  readonly json?: true;
}

/** Of its port alone something is written. */
const USUAL = new URL("http://cache.invalid:5000");

/** For a cache that does not answer; nothing else here waits for anything. */
const PATIENCE_MS = 5_000;

export function renderCommand(): Command {
  const targets = TARGETS.map(({ name, title }) => `  ${name.padEnd(16)} ${title}`).join("\n");
  return new Command("render")
    .description("write configuration that points a runtime or a distribution at the cache")
    .argument("<target>", "one of those below", parseTarget)
    .option(
      "--cache <url>",
      "where nodes reach the cache, http://192.168.1.10:5000; not needed where it is the cache itself",
      parseCache,
    )
    .option("--ca <file>", "the authority of an https:// cache's certificate, in PEM")
    .option(
      "--upstream <name...>",
      "the registries, NAME or NAME=URL; without it the running cache is asked for its own",
      collectUpstream,
    )
    .option(
      "--address <address/length>",
      "cloud-init, proxmox: the cache's address, 192.168.1.10/24",
    )
    .option("--gateway <address>", "cloud-init, proxmox: the router of that network")
    .option("--output <folder>", "write the files below this folder instead of printing them")
    .option("--json", "print the files and what to know about them as JSON")
    .addHelpText("after", `\nTargets:\n${targets}`)
    .action(async (target: Target, options: RenderOptions) => {
      process.exitCode = await run(target, options);
    });
}

async function run(target: Target, options: RenderOptions): Promise<number> {
  const { address, gateway, output } = options;
  try {
    const cache = options.cache ?? (target.isCacheItself ? USUAL : undefined);
    if (!cache) {
      throw new RenderError(
        "required option '--cache <url>' not specified: where nodes reach the cache, such as http://192.168.1.10:5000",
      );
    }
    if (options.ca !== undefined && cache.protocol === "http:") {
      throw new RenderError("--ca is for a cache at https://: write --cache so, or leave it out");
    }
    const authority = options.ca === undefined ? undefined : readCa(options.ca);
    const upstreams =
      options.upstream ?? (target.isCacheItself ? [] : await askCache(cache, authority));
    const files = render(target, {
      cache,
      upstreams,
      ...(address === undefined ? {} : { address }),
      ...(gateway === undefined ? {} : { gateway }),
      ...(authority === undefined ? {} : { authority }),
    });
    if (options.json) {
      const { name, notes } = target;
      console.log(JSON.stringify({ target: name, ...notes, files }, undefined, 2));
    } else if (output !== undefined) writeBelow(output, files);
    else print(target, files);
    warnOfLoopback(cache);
    return 0;
  } catch (error) {
    if (!(error instanceof RenderError || error instanceof UsageError)) throw error;
    process.stderr.write(`entrepot: ${error.message}\n`);
    return 2;
  }
}

/** @throws RenderError */
async function askCache(cache: URL, authority: string | undefined): Promise<RenderedUpstream[]> {
  const help = "start it, or name the registries: --upstream docker.io ghcr.io";
  try {
    const response = await fetch(new URL("/entrepot/v1/namespaces", cache), {
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(authority === undefined ? {} : { tls: { ca: authority } }),
    });
    const body: unknown = response.ok ? await response.json() : undefined;
    const names =
      typeof body === "object" && body !== null && "namespaces" in body && body.namespaces;
    if (!Array.isArray(names)) {
      throw new RenderError(`${cache.origin} is no Entrepot (${response.status}): ${help}`);
    }
    return names.map((name) => upstreamOf(String(name)));
  } catch (cause) {
    if (cause instanceof RenderError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    if (/certificate/i.test(why)) {
      const advice = "name its authority with --ca FILE, and call it as its certificate does";
      throw new RenderError(`the cache at ${cache.origin} is not believed (${why}): ${advice}`, {
        cause,
      });
    }
    throw new RenderError(`the cache at ${cache.origin} does not answer (${why}): ${help}`, {
      cause,
    });
  }
}

function upstreamOf(text: string): RenderedUpstream {
  const [written = "", url] = text.split("=", 2);
  const name = parseUpstreamName(written);
  if (!name)
    throw new RenderError(`${JSON.stringify(written)} is no registry's name, such as ghcr.io`);
  if (url === undefined) return { name, server: defaultUrl(name) };
  const server = URL.parse(url);
  if (!server || !/^https?:$/.test(server.protocol)) {
    throw new RenderError(`${JSON.stringify(url)} is no URL: write NAME=https://host`);
  }
  return { name, server: server.href.replace(/\/$/, "") };
}

function collectUpstream(
  text: string,
  before: readonly RenderedUpstream[] = [],
): RenderedUpstream[] {
  try {
    const upstream = upstreamOf(text);
    return [...before.filter(({ name }) => name !== upstream.name), upstream];
  } catch (error) {
    if (error instanceof RenderError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

function parseTarget(text: string): Target {
  const target = TARGETS.find(({ name }) => name === text);
  if (target) return target;
  throw new InvalidArgumentError(`Write one of ${TARGETS.map(({ name }) => name).join(", ")}.`);
}

function parseCache(text: string): URL {
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : undefined;
  if (url && !url.username && !url.search && !url.hash && url.pathname === "/") return url;
  throw new InvalidArgumentError(
    "Write scheme, host and port and nothing more, such as http://192.168.1.10:5000.",
  );
}

/** On standard output as it is for one file, with a line before each where there are more. */
function print({ notes }: Target, files: readonly RenderedFile[]): void {
  const [only, ...others] = files;
  if (only && others.length === 0) process.stdout.write(only.text);
  else for (const { path: name, text } of files) process.stdout.write(`### ${name}\n${text}\n`);
  if (!files.some(({ path: name }) => name.endsWith(".json"))) return;
  // JSON has no comments, and what is printed goes into a file.
  const lines = [`Where: ${notes.where}`, `After: ${notes.restart}`];
  process.stderr.write(`${[...lines, ...notes.mind.map((text) => `Mind:  ${text}`)].join("\n")}\n`);
}

/**
 * Nothing of others is overwritten: such a file may hold more than what is rendered.
 *
 * @throws RenderError
 */
function writeBelow(folder: string, files: readonly RenderedFile[]): void {
  const foreign = files
    .map(({ path: name, text }) => ({ file: path.join(folder, name), text }))
    .find(({ file, text }) => existsSync(file) && readFileSync(file, "utf8") !== text);
  if (foreign) {
    throw new RenderError(
      `${foreign.file} is there already and is another: write into an empty folder, and merge it from there`,
    );
  }
  for (const { path: name, text } of files) {
    const file = path.join(folder, name);
    try {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, text, { mode: name.endsWith(".sh") ? 0o755 : 0o644 });
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
      throw new RenderError(
        `${file} cannot be written (${code}): is --output a folder that you can write to?`,
        { cause },
      );
    }
    process.stderr.write(`wrote ${file}\n`);
  }
}

function warnOfLoopback({ hostname }: URL): void {
  if (hostname !== "localhost" && !/^127\.|^\[::1\]$/.test(hostname)) return;
  process.stderr.write(
    `entrepot: ${hostname} is each machine itself: this works on the cache's own machine alone\n`,
  );
}
