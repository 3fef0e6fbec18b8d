import { Command } from "commander";
import { FilesFault } from "../../node/files/node-files.ts";
import { JournalError } from "../../node/journal.ts";
import type { NamespaceProof } from "../../node/verify.ts";
import { isProven, verify } from "../../node/verify.ts";
import type { NodeContext } from "../../node/node-context.ts";
import { table } from "./node-print.ts";
import { readCa } from "./ca-file.ts";
import type { NodeOptions } from "./node-options.ts";
import { UsageError, openCache } from "./node-options.ts";
import type { OpenNodes, Outcome } from "./node-runtimes.ts";
import { onEachRuntime } from "./node-runtimes.ts";

interface VerifyOptions extends NodeOptions {
  readonly cache?: string;
  readonly ca?: string;
  readonly upstream?: readonly string[];
  readonly probe?: readonly string[];
}

export function verifyCommand(): Command {
  return new Command("verify")
    .description("prove by pulls that the runtime uses the cache first for each registry")
    .option("--cache <url>", "the cache; by default the one in the journal")
    .option("--ca <file>", "the CA of the cache's certificate; by default the one in the journal")
    .option("--upstream <name...>", "verify only these registries")
    .option(
      "--probe <image...>",
      "images to pull as the proof; by default one of each registry is chosen",
    )
    .action((options: VerifyOptions) =>
      onEachRuntime(options, (context, nodes) => verifyNode(context, nodes, options)),
    );
}

async function verifyNode(
  context: NodeContext,
  nodes: OpenNodes,
  options: VerifyOptions,
): Promise<Outcome> {
  if (context.filesOnly) throw new UsageError("verify needs a running runtime: remove --root");
  const desired = context.ownJournal()?.desired;
  const url = options.cache ?? desired?.cache;
  if (url === undefined && nodes.contexts.some(isWired))
    return { code: 0, json: { cache: null, proven: null, namespaces: [] }, text: "Not wired." };
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
    probeImages: options.probe ?? [],
    // Pulls are slow, so progress is shown on a terminal. Standard output has the result only.
    report: (line) => {
      if (process.stderr.isTTY) process.stderr.write(`${line}\n`);
    },
  });
  const areProven = proofs.every(isProven);
  return {
    code: areProven ? 0 : 1,
    json: { cache: cache.url, proven: areProven, namespaces: proofs },
    text: proofsText(proofs, cache.url),
  };
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
  const rows = proofs.map((proof) => [
    proof.namespace,
    isProven(proof) ? "proven" : "NOT PROVEN",
    proof.isCacheFirst ? "cache first" : "cache not first",
    `then ${[...proof.route.hosts.slice(1), proof.upstream.url].join(", ")} (${proof.upstream.detail})`,
    proof.probe.reference ?? "-",
    proof.probe.detail,
  ]);
  const problems = proofs.flatMap((proof) =>
    proof.route.problems.map((problem) => `  - ${proof.namespace}: ${problem}`),
  );
  const failures = proofs.filter((proof) => !isProven(proof));
  const isImageMissing = failures.every(
    (proof) => proof.isCacheFirst && proof.probe.outcome === "unknown",
  );
  const next = isImageMissing
    ? "Name an image of each registry with --probe IMAGE."
    : "Run entrepot node check to see what is wrong.";
  const summary =
    failures.length === 0
      ? `Every registry is pulled through ${cache}.`
      : `${failures.length} of ${proofs.length} registries could not be proven. ${next}`;
  return [table(rows), ...problems, "", summary].join("\n");
}
