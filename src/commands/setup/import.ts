import { readdirSync, writeFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { readText } from "../../config/parsing/read-text.ts";
import { importFiles } from "../../config/import-files.ts";
import type { ImportedConfig } from "../../config/foreign/imported-config.ts";
import { leftOverLines, placeOf, writeConfig } from "../../config/foreign/write-config.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { parseUpstreamName } from "../../oci/names.ts";

interface ImportCommandOptions {
  readonly output?: string;
  readonly secrets?: string;
  readonly name?: ReadonlyMap<string, string>;
  readonly json?: true;
}

export function importCommand(): Command {
  return new Command("import")
    .description("make an entrepot.yaml of what is there: registry:2 and registry:3, Gardener")
    .argument(
      "<file...>",
      "config.yml of registries, Compose files, `docker run` lines, manifests of Gardener's",
    )
    .option("--output <file>", "write entrepot.yaml there; it is printed otherwise")
    .option(
      "--secrets <folder>",
      "Gardener's Secrets: NAME/username and NAME/password, or manifests",
    )
    .option(
      "--name <host=registry...>",
      "the registry that a host of a proxy stands for, such as mirror.gcr.io=docker.io",
      collectName,
    )
    .option("--json", "print the configuration and what could not be carried over as JSON")
    .action((files: string[], options: ImportCommandOptions) => {
      process.exitCode = run(files, options);
    });
}

function run(files: readonly string[], options: ImportCommandOptions): number {
  const { output, secrets, name = new Map(), json } = options;
  try {
    if (secrets !== undefined) expectFolder(secrets);
    const draft = importFiles({
      files,
      readFile: readText,
      secrets: { folder: secrets, readFile: readText },
      names: name,
    });
    if (json) console.log(JSON.stringify(asJson(draft), undefined, 2));
    else {
      const text = writeConfig(draft, `entrepot import ${files.join(" ")}`);
      if (output === undefined) process.stdout.write(text);
      // A password may stand in it.
      else writeNew(output, text);
      report(draft, output);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`entrepot: nothing was written\n${error.message}\n`);
    return 1;
  }
}

function report(draft: ImportedConfig, output: string | undefined): void {
  const { left, adoptable } = draft;
  const lines = [
    ...(left.length > 0 ? ["Could not be carried over:"] : []),
    ...leftOverLines(draft).map((line) => `  ${line}`),
    ...(output === undefined
      ? []
      : [`Wrote ${output}. Look through it, then: entrepot serve --config ${output}`]),
    ...(adoptable.length > 0
      ? ["At its end are the commands that take over what the old registries hold."]
      : []),
  ];
  if (lines.length > 0) process.stderr.write(`${lines.join("\n")}\n`);
}

function asJson({ value, carried, left, adoptable }: ImportedConfig): object {
  return {
    config: value,
    from: Object.fromEntries(carried.map(({ at, from }) => [at.join("."), placeOf(from)])),
    leftOver: left.map(({ from, why }) => ({ from: placeOf(from), why })),
    adopt: adoptable,
  };
}

/** Changes that somebody made by hand must not be lost. */
function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    const message =
      code === "EEXIST"
        ? "is there already: choose another name, or move it away"
        : `cannot be written (${code})`;
    throw new ConfigError([{ message: `--output: ${file} ${message}` }], { cause });
  }
}

function expectFolder(folder: string): void {
  try {
    readdirSync(folder);
  } catch {
    throw new ConfigError([{ message: `--secrets: ${folder} is no folder that can be read` }]);
  }
}

function collectName(
  text: string,
  before: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const [host = "", name = ""] = text.split("=", 2);
  if (!parseUpstreamName(host) || !parseUpstreamName(name)) {
    throw new InvalidArgumentError("Write HOST=REGISTRY, such as mirror.gcr.io=docker.io.");
  }
  return new Map([...before, [host.toLowerCase(), name.toLowerCase()]]);
}
