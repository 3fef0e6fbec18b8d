import { printableLines } from "../../printable.ts";
import { Command } from "commander";
import { FilesFault } from "../../node/files/node-files.ts";
import { JournalError } from "../../node/journal.ts";
import type { NamespaceProof, ProofState } from "../../node/wiring/verify.ts";
import { stateOf, verify } from "../../node/wiring/verify.ts";
import type { NodeContext } from "../../node/node-context.ts";
import { WIDTH, proofRows, shortReference, wrapped } from "./node-print.ts";
import { readCa } from "./ca-file.ts";
import type { NodeOptions } from "./node-options.ts";
import { UsageError, openCache } from "./node-options.ts";
import type { OpenNodes, Outcome } from "./node-runtimes.ts";
import { type ReportOptions, withReport } from "./node-report.ts";
import { onEachRuntime } from "./node-runtimes.ts";

interface VerifyOptions extends NodeOptions, ReportOptions {
  readonly cache?: string;
  readonly ca?: string;
  readonly upstream?: readonly string[];
  readonly probe?: readonly string[];
  readonly requireProof?: true;
}

export function verifyCommand(): Command {
  return withReport(new Command("verify"))
    .description("prove by pulls that the runtime uses the cache first for each registry")
    .option("--cache <url>", "the cache; by default the one in the journal")
    .option("--ca <file>", "the CA of the cache's certificate; by default the one in the journal")
    .option("--upstream <name...>", "verify only these registries")
    .option(
      "--probe <image...>",
      "images to pull as the proof; by default those that proved it before, or one of each registry",
    )
    .option("--require-proof", "exit with 1 if there is no image to prove a registry with")
    .action((options: VerifyOptions) =>
      onEachRuntime(options, (context, nodes) => verifyNode(context, nodes, options), {
        isLive: true,
        report: options,
      }),
    );
}

async function verifyNode(
  context: NodeContext,
  nodes: OpenNodes,
  options: VerifyOptions,
): Promise<Outcome> {
  const journal = context.ownJournal();
  const desired = journal?.desired;
  const url = options.cache ?? desired?.cache;
  const common = { command: "verify", changed: false };
  if (url === undefined && nodes.contexts.some(isWired))
    return {
      code: 0,
      json: { ...common, cache: null, proven: null, namespaces: [] },
      text: "Not wired.",
      summary: ["not wired"],
    };
  if (url === undefined)
    throw new UsageError("this node is not wired: name the cache with --cache URL");
  const cache = openCache(url, options.ca === undefined ? desired?.cacheCa : readCa(options.ca));
  const namespaces =
    options.upstream ??
    desired?.namespaces ??
    (await context.runtime.support(await cache.namespaces())).supported;
  const proofs = await verify({
    context,
    cache,
    namespaces,
    probeImages: { requested: options.probe ?? [], proofs: journal?.proofs ?? {} },
    // Pulls are slow, so progress is shown on a terminal. Standard output has the result only.
    report: (line) => {
      if (process.stderr.isTTY) process.stderr.write(`${printableLines(line)}\n`);
    },
  });
  const states = proofs.map(stateOf);
  const isWrong =
    states.includes("failed") || (options.requireProof && states.includes("unproven"));
  return {
    code: isWrong ? 1 : 0,
    json: {
      ...common,
      cache: cache.url,
      proven: states.every((state) => state === "proven"),
      namespaces: proofs.map((proof) => ({ ...proof, state: stateOf(proof) })),
    },
    proof: proofOf(states),
    text: proofsText(proofs, cache.url),
    summary: [isWrong ? "failed: see above" : "proven, where it can be"],
  };
}

function proofOf(states: readonly ProofState[]): ProofState {
  if (states.includes("failed")) return "failed";
  return states.length > 0 && states.every((state) => state === "proven") ? "proven" : "unproven";
}

/** A damaged journal is told of in the turn of its runtime. */
function isWired({ journal }: NodeContext): boolean {
  try {
    return journal.read() !== undefined;
  } catch (error) {
    if (error instanceof JournalError || error instanceof FilesFault) return false;
    throw error;
  }
}

function proofsText(proofs: readonly NamespaceProof[], cache: string): string {
  const rows = proofs.map((proof) => {
    const { route, upstream, isCacheFirst, probe } = proof;
    const others = [...route.hosts.slice(1), upstream.url].join(", ");
    return {
      name: proof.namespace,
      state: stateOf(proof),
      lines: [
        ...(probe.reference === undefined ? [] : [shortReference(probe.reference)]),
        probe.detail,
        `${isCacheFirst ? "cache first" : "cache not first"}, then ${others} (${upstream.detail})`,
        ...route.problems.map((problem) => `problem: ${problem}`),
      ],
    };
  });
  return [proofRows(rows), "", ...wrapped(summaryText(proofs, cache), WIDTH)].join("\n");
}

function summaryText(proofs: readonly NamespaceProof[], cache: string): string {
  const states = proofs.map(stateOf);
  const count = (state: ProofState): number => states.filter((it) => it === state).length;
  if (count("failed") > 0)
    return `${count("failed")} of ${proofs.length} registries failed. Run entrepot node check to see what is wrong.`;
  if (count("unproven") === 0) return `Every registry is pulled through ${cache}.`;
  return `${count("proven")} of ${proofs.length} registries are proven to be pulled through ${cache}. For the others, there was no image to prove it with: name one of each with --probe.`;
}
