import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { ConfigError } from "../../config/parsing/problems.ts";
import { readPortableConfig } from "../../config/portable-config.ts";
import { defaultUrl } from "../../config/settings.ts";
import { parseUpstreamName } from "../../oci/names.ts";
import {
  noteLines,
  type Notes,
  RenderError,
  type RenderedFile,
  type RenderedUpstream,
  type Target,
} from "../../render/target.ts";
import { isHostOfCache } from "../../node/cache-url.ts";
import { printable, printableJson, printableLines } from "../../printable.ts";
import { notesOf, render, TARGETS } from "../../render/targets.ts";
import { KnownValuesArgument } from "../known-values.ts";
import { readCa } from "../node/ca-file.ts";
import { UsageError } from "../node/node-options.ts";

interface RenderOptions {
  readonly cache?: URL;
  readonly ca?: string;
  readonly config?: string;
  readonly upstream?: readonly RenderedUpstream[];
  readonly address?: string;
  readonly gateway?: string;
  readonly output?: string;
  readonly json?: true;
}

/** Stands in for `--cache` for targets that run the cache itself: only its port is rendered. */
const DEFAULT_CACHE = new URL("http://cache.invalid:5000");

/** Timeout of the request that asks the running cache for its registries. */
const TIMEOUT_MS = 5_000;

export function renderCommand(): Command {
  return new Command("render")
    .description("write configuration that points a runtime or a distribution at the cache")
    .addArgument(
      new KnownValuesArgument(
        "<target>",
        "the runtime, distribution or machine to configure, as in entrepot render k3s --cache http://192.168.1.10:5000",
        TARGETS.map(({ name, title }) => ({ value: name, title })),
      ).argParser(parseTarget),
    )
    .option(
      "--cache <url>",
      "where nodes reach the cache, such as http://192.168.1.10:5000; not needed for targets that run the cache itself",
      parseCache,
    )
    .option(
      "--ca <file>",
      "the CA certificate (PEM) that signed the certificate of an https:// cache",
    )
    .option(
      "--config <file>",
      "the cache's entrepot.yaml: its registries and ports, and for the cache's own machine all of its settings; never a secret",
    )
    .option(
      "--upstream <name...>",
      "the registries, NAME or NAME=URL (default: those of --config, or ask the running cache)",
      collectUpstream,
    )
    .option(
      "--address <address/length>",
      "cloud-init, proxmox: the cache's address, 192.168.1.10/24",
    )
    .option("--gateway <address>", "cloud-init, proxmox: the network's gateway")
    .option("--output <dir>", "write the files below this directory instead of printing them")
    .option("--json", "print the files and their notes as JSON")
    .addHelpText("after", ({ command }) => `\nTargets:\n${targetLines(command)}\n${EXAMPLES}`)
    .action(async (target: Target, options: RenderOptions) => {
      process.exitCode = await run(target, options);
    });
}

const EXAMPLES = `
Examples:
  entrepot render k3s --cache http://192.168.1.10:5000
  entrepot render podman --cache http://192.168.1.10:5000 --output files
  entrepot render talos --cache https://cache.example --upstream docker.io`;

/** The targets, wrapped as the help wraps its options. */
function targetLines(command: Command): string {
  const help = command.createHelp();
  help.prepareContext({});
  const width = Math.max(...TARGETS.map(({ name }) => name.length));
  return TARGETS.map(({ name, title }) => help.formatItem(name, width, title, help)).join("\n");
}

async function run(target: Target, options: RenderOptions): Promise<number> {
  const { address, gateway, output } = options;
  try {
    const cache = options.cache ?? (target.isCacheItself ? DEFAULT_CACHE : undefined);
    if (!cache) {
      throw new RenderError(
        "required option '--cache <url>' not specified: where nodes reach the cache, such as http://192.168.1.10:5000",
      );
    }
    if (options.ca !== undefined && cache.protocol === "http:") {
      throw new RenderError(
        "--ca applies to a cache at https:// only: use https:// in --cache, or omit --ca",
      );
    }
    const ca = options.ca === undefined ? undefined : readCa(options.ca);
    const config = options.config === undefined ? undefined : readPortableConfig(options.config);
    const upstreams =
      options.upstream ??
      config?.upstreams ??
      (target.isCacheItself ? [] : await upstreamsOfCache(cache, ca));
    const notes = notesOf(target, { cache, upstreams });
    const files = render(target, {
      cache,
      upstreams,
      ...(address === undefined ? {} : { address }),
      ...(gateway === undefined ? {} : { gateway }),
      ...(ca === undefined ? {} : { ca }),
      ...(config ? { config } : {}),
    });
    if (options.json) {
      console.log(printableJson({ target: target.name, ...notes, files }));
    } else if (output !== undefined) writeBelow(output, files);
    else print(notes, files);
    warnAboutLoopback(cache);
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`entrepot: nothing was rendered\n${printableLines(error.message)}\n`);
      return 2;
    }
    if (!(error instanceof RenderError || error instanceof UsageError)) throw error;
    process.stderr.write(`entrepot: ${printableLines(error.message)}\n`);
    return 2;
  }
}

/**
 * Asks the running cache which registries it serves.
 *
 * @throws RenderError if it cannot be reached, is not trusted, or is not an Entrepot
 */
async function upstreamsOfCache(cache: URL, ca: string | undefined): Promise<RenderedUpstream[]> {
  const help = "start it, or list the registries: --upstream docker.io ghcr.io";
  try {
    const response = await fetch(new URL("/entrepot/v1/namespaces", cache), {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(ca === undefined ? {} : { tls: { ca } }),
    });
    const body = servedSchema.safeParse(response.ok ? await response.json() : undefined).data;
    if (!body) {
      throw new RenderError(
        `${cache.origin} responds, but is not an Entrepot (${response.status}): ${help}`,
      );
    }
    return body.namespaces.map((name) => servedUpstream(name, body));
  } catch (cause) {
    if (cause instanceof RenderError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (/certificate/i.test(reason)) {
      const advice =
        "pass its CA certificate with --ca FILE, and use a name from its certificate in --cache";
      throw new RenderError(
        `the certificate of the cache at ${cache.origin} is not trusted (${reason}): ${advice}`,
        { cause },
      );
    }
    throw new RenderError(`the cache at ${cache.origin} does not respond (${reason}): ${help}`, {
      cause,
    });
  }
}

/** An older cache does not tell its ports, nor for what it asks. */
const servedSchema = z.object({
  namespaces: z.array(z.string()),
  ports: z.record(z.string(), z.int().min(1).max(65_535)).default({}),
  asks: z.record(z.string(), z.string()).default({}),
});

function servedUpstream(
  text: string,
  { ports, asks }: Omit<z.infer<typeof servedSchema>, "namespaces">,
): RenderedUpstream {
  const port = ports[text];
  return {
    ...upstreamOf(text),
    ...(port === undefined ? {} : { port }),
    ...(Object.hasOwn(asks, text) ? { asks: true } : {}),
  };
}

function upstreamOf(text: string): RenderedUpstream {
  const [host = "", url] = text.split("=", 2);
  const name = parseUpstreamName(host);
  if (!name) {
    throw new RenderError(
      `${JSON.stringify(host)} is not a valid registry name: write one such as ghcr.io`,
    );
  }
  if (url === undefined) return { name, server: defaultUrl(name) };
  const server = URL.parse(url);
  if (!server || !/^https?:$/.test(server.protocol)) {
    throw new RenderError(`${JSON.stringify(url)} is not a valid URL: write NAME=https://host`);
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
  if (
    url &&
    !url.username &&
    !url.search &&
    !url.hash &&
    url.pathname === "/" &&
    isHostOfCache(url)
  ) {
    return url;
  }
  throw new InvalidArgumentError(
    "Write scheme, host and port only, such as http://192.168.1.10:5000.",
  );
}

/**
 * A single file goes to standard output as it is, so that it can be redirected; several get a title
 * line each.
 */
function print(notes: Notes, files: readonly RenderedFile[]): void {
  const [only, ...others] = files;
  if (only && others.length === 0) process.stdout.write(only.text);
  else for (const { path: name, text } of files) process.stdout.write(`### ${name}\n${text}\n`);
  if (!files.some(({ path: name }) => name.endsWith(".json"))) return;
  // JSON has no comments, and standard output may be redirected to a file.
  process.stderr.write(`${noteLines(notes).join("\n")}\n`);
}

/**
 * Writes the files below a directory. An existing file with different content is never overwritten:
 * it may hold settings that are not rendered.
 *
 * @throws RenderError if such a file exists, or a file cannot be written
 */
function writeBelow(folder: string, files: readonly RenderedFile[]): void {
  const foreign = files
    .map(({ path: name, text }) => ({ file: path.join(folder, name), text }))
    .find(({ file, text }) => existsSync(file) && readFileSync(file, "utf8") !== text);
  if (foreign) {
    throw new RenderError(
      `${foreign.file} already exists with different content: write to an empty directory and merge the files by hand`,
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
        `${file} cannot be written (${code}): is --output a directory that you can write to?`,
        { cause },
      );
    }
    process.stderr.write(`wrote ${printable(file)}\n`);
  }
}

function warnAboutLoopback({ hostname }: URL): void {
  if (hostname !== "localhost" && !/^127\.|^\[::1\]$/.test(hostname)) return;
  process.stderr.write(
    `entrepot: warning: ${hostname} means the local machine on every node, so this configuration works only on the cache's own machine\n`,
  );
}
