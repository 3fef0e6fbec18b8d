import { readdirSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { printable, printableJson } from "../../printable.ts";
import { readText } from "../../config/parsing/read-text.ts";
import { importFiles } from "../../config/import-files.ts";
import type { ImportedConfig } from "../../config/foreign/imported-config.ts";
import {
  formatOrigin,
  jobLines,
  JOBS_TITLE,
  unsupportedLines,
  warningLines,
  writeConfig,
} from "../../config/foreign/write-config.ts";
import type { GivenAddress } from "../../config/distribution/import-addresses.ts";
import { parseAddress } from "../../config/parsing/address.ts";
import { UPSTREAM_ALIASES } from "../../config/settings.ts";
import { quoteForShell } from "../../config/foreign/shell-word.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { parseUpstreamName } from "../../oci/names.ts";
import { mountedSecret } from "../../config/foreign/cluster-needs.ts";
import { writeChartValues } from "../../render/cache-machine/chart-values.ts";
import { writeForCompose } from "./import-compose.ts";
import { writeNew } from "./write-new.ts";

interface ImportCommandOptions {
  readonly output?: string;
  readonly compose?: string;
  readonly chart?: true;
  readonly secrets?: string;
  readonly name?: ReadonlyMap<string, string>;
  readonly port?: ReadonlyMap<string, GivenAddress>;
  readonly dropAuth?: ReadonlySet<string>;
  readonly json?: true;
}

export function importCommand(): Command {
  return new Command("import")
    .description(
      "convert the configuration of registry:2, registry:3 or Gardener's extensions to an entrepot.yaml, or to values of the Helm chart",
    )
    .argument(
      "<file...>",
      "what describes the registries: config.yml, Compose files, scripts with `docker run`, Quadlet and systemd units, Ansible tasks, Kubernetes and Gardener manifests, values of the chart docker-registry; crontabs and timers of the old set-up",
    )
    .option("--output <file>", "write entrepot.yaml to this file instead of printing it")
    .option(
      "--compose <file>",
      "write a Compose file that runs it with the same published ports, and takes over the blobs",
    )
    .addOption(
      new Option(
        "--chart",
        "write values of the Helm chart instead of an entrepot.yaml: Secrets are mounted, and not read",
      ).conflicts(["compose", "json"]),
    )
    .option(
      "--secrets <dir>",
      "Secrets that manifests refer to: a file NAME/KEY for each value, or manifests",
    )
    .option(
      "--name <host=registry>",
      "the registry that a proxied host stands for, such as mirror.gcr.io=docker.io; repeatable",
      collectName,
    )
    .option(
      "--port <registry=port>",
      "the port, or host:port, at which nodes reach a registry, such as ghcr.io=5010; repeatable",
      collectPort,
    )
    .option(
      "--drop-auth <registry>",
      "serve this registry without the passwords, tokens or client certificates that it asked for; repeatable",
      collectRegistry,
    )
    .addOption(
      new Option(
        "--json",
        "print the configuration and the settings that could not be converted as JSON",
      ).conflicts("compose"),
    )
    .action((files: string[], options: ImportCommandOptions, command: Command) => {
      if (options.compose !== undefined && options.output === undefined) {
        command.error("error: --compose needs --output, the entrepot.yaml that it mounts");
      }
      process.exitCode = run(files, options);
    });
}

function run(files: readonly string[], options: ImportCommandOptions): number {
  const { output, compose, chart, secrets, name, port, dropAuth, json } = options;
  try {
    if (secrets !== undefined) expectFolder(secrets);
    const imported = importFiles({
      files,
      readFile: readText,
      secrets: {
        folder: secrets,
        readFile: readText,
        ...(chart ? { mountOf: mountedSecret } : {}),
      },
      ...(name ? { names: name } : {}),
      ...(port ? { addresses: port } : {}),
      ...(dropAuth ? { withoutAuth: dropAuth } : {}),
    });
    const command = `entrepot import ${files.join(" ")}`;
    if (json) console.log(printableJson(asJson(imported)));
    else if (imported.value["upstreams"] === undefined) reportJobsAlone(imported, output);
    else if (chart) reportChart(imported, `${command} --chart`, output);
    else if (output !== undefined && compose !== undefined) {
      const steps = writeForCompose(imported, { config: output, compose, command });
      report(imported, [`Wrote ${output} and ${compose}. Review them; then:`, ...steps]);
    } else {
      const text = writeConfig(imported, command);
      if (output === undefined) process.stdout.write(text);
      else writeNew(output, text);
      report(imported, nextSteps(imported, output));
    }
    return 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`entrepot: nothing was imported\n${error.message}\n`);
    return 1;
  }
}

function reportChart(imported: ImportedConfig, command: string, output: string | undefined): void {
  const { text, steps } = writeChartValues(imported, command, output ?? "values.yaml");
  if (output === undefined) process.stdout.write(text);
  else writeNew(output, text);
  report(imported, output === undefined ? [] : [`Wrote ${output}. Review it.`, ...steps]);
}

/** What is lost comes first, and then what is to be done. */
function report(imported: ImportedConfig, next: readonly string[]): void {
  const { warnings, unsupported, jobs } = imported;
  const further = [...imported.furtherFiles];
  const lines = [
    ...(further.length > 0 ? [`Also read: ${printable(further.join(", "))}`] : []),
    ...(warnings.length > 0 ? ["Check this first:"] : []),
    ...warningLines(imported).map((line) => `  ${line}`),
    ...(unsupported.length > 0 ? ["These settings were not converted:"] : []),
    ...unsupportedLines(imported).map((line) => `  ${line}`),
    ...(jobs.length > 0 ? [`${JOBS_TITLE}:`] : []),
    ...jobLines(imported).map((line) => `  ${line}`),
    ...next.map(printable),
  ];
  if (lines.length > 0) process.stderr.write(`${lines.join("\n")}\n`);
}

function nextSteps({ adoptable }: ImportedConfig, output: string | undefined): string[] {
  return [
    ...(output === undefined
      ? []
      : [
          `Wrote ${printable(output)}. Review it, then run: entrepot serve --config ${quoteForShell(output)}`,
        ]),
    ...(adoptable.length > 0
      ? [
          `With the old registries stopped, this takes over their blobs: entrepot adopt --from ${quoteForShell(output ?? "entrepot.yaml")}`,
        ]
      : []),
  ];
}

/** Without a registry in any file, there is no configuration to write. */
function reportJobsAlone(imported: ImportedConfig, output: string | undefined): void {
  const lines = jobLines(imported).map((line) => `  ${line}`);
  const nothing = "No job in these files starts or restarts a container, or collects garbage.";
  console.log(lines.length === 0 ? nothing : [`${JOBS_TITLE}:`, ...lines].join("\n"));
  const notes = unsupportedLines(imported);
  if (output !== undefined)
    notes.push(`${printable(output)} was not written: no file has a registry`);
  if (notes.length > 0) process.stderr.write(`${notes.join("\n")}\n`);
}

function asJson({
  value,
  settings,
  warnings,
  unsupported,
  adoptable,
  jobs,
}: ImportedConfig): object {
  return {
    config: value,
    warnings: warnings.map(({ from, message }) => ({ from: formatOrigin(from), message })),
    from: Object.fromEntries(settings.map(({ at, from }) => [at.join("."), formatOrigin(from)])),
    unsupported: unsupported.map(({ from, reason }) => ({ from: formatOrigin(from), reason })),
    jobs: jobs.map(({ from: { file, line, what }, kind, script }) => ({
      from: `${file}:${line}`,
      command: what,
      kind,
      ...(script === undefined ? {} : { script }),
    })),
    adopt: adoptable.map(({ upstream, data }) => ({ upstream, ...data })),
  };
}

function expectFolder(folder: string): void {
  try {
    readdirSync(folder);
  } catch {
    throw new ConfigError([{ message: `--secrets: ${folder} is not a readable directory` }]);
  }
}

function collectPort(
  text: string,
  before: ReadonlyMap<string, GivenAddress> = new Map(),
): ReadonlyMap<string, GivenAddress> {
  const [, registry = "", written = ""] = /^(.+)=(.*)$/.exec(text) ?? [];
  const name = upstreamOf(registry);
  const address = parseAddress(written, "");
  const isHost = /^[\w.:-]*$/.test(address?.host ?? "");
  if (name === undefined || !address || address.port === 0 || !isHost)
    throw new InvalidArgumentError(
      "Write REGISTRY=PORT or REGISTRY=HOST:PORT, such as ghcr.io=5010.",
    );
  const { host, port } = address;
  return new Map([...before, [name, host === "" ? { port } : { host, port }]]);
}

function collectRegistry(
  text: string,
  before: ReadonlySet<string> = new Set(),
): ReadonlySet<string> {
  const name = upstreamOf(text);
  if (name === undefined)
    throw new InvalidArgumentError("Write the name of a registry, such as ghcr.io.");
  return new Set([...before, name]);
}

/** The name of the upstream for a registry. */
function upstreamOf(registry: string): string | undefined {
  const name = parseUpstreamName(registry);
  return name && (UPSTREAM_ALIASES.get(name) ?? name);
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
