import { printableLines } from "../../printable.ts";
import { resolve } from "node:path";
import { isContainerd } from "../../node/containerd/connection.ts";
import { DEFAULT_STATE_DIRECTORY } from "../../node/journal.ts";
import { hideUserinfo } from "../../node/files/hidden-secrets.ts";
import { NodeFiles } from "../../node/files/node-files.ts";
import { NodeContext } from "../../node/node-context.ts";
import { RUNTIME_NAMES, RuntimeFault } from "../../node/runtime.ts";
import type { RuntimeName } from "../../node/runtime.ts";
import { findRuntimes, isInstalled, openRuntime, stateDirectoryOf } from "../../node/runtimes.ts";
import type { NodeOptions } from "./node-options.ts";
import { UsageError, isExpected, requireRoot, run } from "./node-options.ts";
import { NodeReporter, type Proof, type ReportOptions, type Told } from "./node-report.ts";
import { print, printJson, table } from "./node-print.ts";

/** The runtimes of this node that a command works on. */
export interface OpenNodes {
  readonly contexts: readonly NodeContext[];
  /** Whether they were found and not named. */
  readonly isAuto: boolean;
}

/** The result of a command for one runtime. */
export interface Outcome {
  readonly code: number;
  /** As output-schema.ts has it. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Empty if everything was printed on the way. */
  readonly text: string;
  /** Columns of a line that sums it up, where several runtimes have one below each other. */
  readonly summary?: readonly string[];
  /** What it found out by pulls. */
  readonly proof?: Proof;
}

/**
 * @param isLive whether the command is about a running node, also if its root is mounted elsewhere
 * @throws UsageError if `--root` is not a directory, or `--runtime` is none, RuntimeFault if a runtime
 *   that was named is not on this node
 */
export function openNodes(options: NodeOptions, isLive = options.live === true): OpenNodes {
  const filesOnly = options.root !== undefined && !isLive;
  const files = new NodeFiles(options.root ?? "/");
  if (!files.isDirectory("/")) throw new UsageError(`--root ${options.root} is not a directory`);
  const named = namedRuntime(options);
  requireFiles(files, named, filesOnly || options.socket !== undefined);
  const binary = options.containerdBinary && resolve(options.containerdBinary);
  if (binary !== undefined && !isContainerd(binary))
    throw new UsageError(`--containerd-binary ${binary} is not a containerd that runs here`);
  const parent = options.stateDir ?? DEFAULT_STATE_DIRECTORY;
  const contexts = (named === undefined ? findRuntimes(files, filesOnly) : [named]).map((name) => {
    const runtime = openRuntime(name, {
      files,
      filesOnly,
      ...(options.socket === undefined ? {} : { socket: options.socket }),
      ...(options.containerdConfig === undefined ? {} : { config: options.containerdConfig }),
      ...(options.containerdVersion === undefined ? {} : { version: options.containerdVersion }),
      ...(binary === undefined ? {} : { binary }),
      ...(options.restartCommand === undefined ? {} : { restartCommand: options.restartCommand }),
    });
    return new NodeContext({
      files,
      runtime,
      stateDirectory: stateDirectoryOf(name, parent),
      filesOnly,
    });
  });
  return { contexts, isAuto: named === undefined };
}

/** The runtime of `--runtime`, or the one that other options are about. Undefined: all that there are. */
function namedRuntime(options: NodeOptions): RuntimeName | undefined {
  const { runtime = "auto", socket, containerdConfig } = options;
  const { containerdVersion, containerdBinary } = options;
  if (runtime !== "auto") {
    const name = RUNTIME_NAMES.find((it) => it === runtime);
    if (name !== undefined) return name;
    throw new UsageError(`--runtime ${runtime} is none of auto, ${RUNTIME_NAMES.join(", ")}`);
  }
  const ofContainerd = [socket, containerdConfig, containerdVersion, containerdBinary];
  return ofContainerd.some((it) => it !== undefined) ? "containerd" : undefined;
}

/** Before k3s is there, its files may be made in an image. On a node that runs, nothing would read them. */
function requireFiles(files: NodeFiles, named: RuntimeName | undefined, mayLack: boolean): void {
  const hasFilesOnly = named === "k3s" || named === "rke2";
  if (mayLack || !hasFilesOnly || isInstalled(files, named)) return;
  throw new RuntimeFault(
    "unknown",
    `no ${named === "k3s" ? "k3s" : "RKE2"} was found on this node`,
  );
}

/**
 * Runs a command for each runtime of this node, and sets the exit code. JSON is one object if a runtime
 * was named, and a list of them otherwise, whatever is found. A runtime that fails does not keep the
 * others from their turn.
 *
 * @param how.rootCommand the name of a command that only root can carry out
 * @param how.isLive whether the command is always about a running node
 * @param how.report whether and where it is told to the cache how the node is wired then
 */
export function onEachRuntime(
  options: NodeOptions,
  work: (context: NodeContext, nodes: OpenNodes) => Promise<Outcome>,
  how: { rootCommand?: "apply" | "rollback"; isLive?: true; report?: ReportOptions } = {},
): Promise<void> {
  return run(options.json, async () => {
    const reporter = NodeReporter.of(how.report ?? {});
    if (how.rootCommand) requireRoot(options, how.rootCommand);
    const nodes = openNodes(options, how.isLive ?? options.live);
    reporter?.begin(nodes.contexts);
    const results: object[] = [];
    const told: Told[] = [];
    const summaries: (readonly string[])[] = [];
    let code = 0;
    let isChanged = false;
    for (const [index, context] of nodes.contexts.entries()) {
      if (!options.json && nodes.contexts.length > 1)
        print(`${index > 0 ? "\n" : ""}── ${context.runtime.title} ──`);
      const outcome = await outcomeOf(context, nodes, work);
      code = worse(code, outcome.code);
      isChanged ||= outcome.json["changed"] === true;
      told.push({ context, proof: outcome.proof });
      results.push({ runtime: context.runtime.name, ...outcome.json });
      summaries.push([context.runtime.title, ...(outcome.summary ?? [endText(outcome)])]);
      if (!options.json && outcome.text !== "") print(outcome.text);
    }
    if (!options.json && summaries.length > 1) print(`\n${table(summaries)}`);
    if (options.json)
      printJson(nodes.isAuto ? { changed: isChanged, runtimes: results } : results[0]);
    await reporter?.tell(told);
    return code;
  });
}

/** How it ended, in a word: which of several runtimes failed would not be seen in the last lines. */
function endText({ code, json }: Outcome): string {
  if ("skipped" in json) return "passed over";
  if (code === 1) return "failed: see above";
  return json["changed"] === true ? "changed" : "nothing changed";
}

/** A failure outweighs the 2 by which `plan --detailed-exitcode` says that there are changes. */
function worse(a: number, b: number): number {
  return a === 1 || b === 1 ? 1 : Math.max(a, b);
}

async function outcomeOf(
  context: NodeContext,
  nodes: OpenNodes,
  work: (context: NodeContext, nodes: OpenNodes) => Promise<Outcome>,
): Promise<Outcome> {
  try {
    return await work(context, nodes);
  } catch (error) {
    // A wrong option is wrong for all of them.
    if (nodes.contexts.length === 1 || !isExpected(error) || error instanceof UsageError)
      throw error;
    const kind = "kind" in error ? error.kind : error.name;
    const message = hideUserinfo(error.message);
    // Nobody has asked for this runtime by its name.
    if (kind === "unsupported") return { code: 0, json: { skipped: message }, text: message };
    process.stderr.write(`entrepot: ${context.runtime.title}: ${printableLines(message)}\n`);
    return { code: 1, json: { error: { kind, message } }, text: "" };
  }
}
