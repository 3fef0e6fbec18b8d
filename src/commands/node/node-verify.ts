import { Command } from "commander";
import type { NamespaceProof } from "../../node/verify.ts";
import { isProven, verify } from "../../node/verify.ts";
import { print, printJson, table } from "./node-print.ts";
import { readCa } from "./ca-file.ts";
import type { NodeOptions } from "./node-options.ts";
import { UsageError, openCache, openNode, run } from "./node-options.ts";

interface VerifyOptions extends NodeOptions {
  readonly cache?: string;
  readonly ca?: string;
  readonly upstream?: readonly string[];
  readonly probe?: readonly string[];
}

export function verifyCommand(): Command {
  return new Command("verify")
    .description("prove by pulls that containerd uses the cache first for each registry")
    .option("--cache <url>", "the cache; by default the one in the journal")
    .option("--ca <file>", "the CA of the cache's certificate; by default the one in the journal")
    .option("--upstream <name...>", "verify only these registries")
    .option(
      "--probe <image...>",
      "images to pull as the proof; by default one of each registry is chosen",
    )
    .action((options: VerifyOptions) => run(options.json, () => runVerify(options)));
}

async function runVerify(options: VerifyOptions): Promise<number> {
  const context = openNode(options);
  if (context.filesOnly) throw new UsageError("verify needs a running containerd: remove --root");
  const desired = context.ownJournal()?.desired;
  const url = options.cache ?? desired?.cache;
  if (url === undefined)
    throw new UsageError("this node is not wired: name the cache with --cache URL");
  const cache = openCache(url, options.ca === undefined ? desired?.cacheCa : readCa(options.ca));
  const namespaces = options.upstream ?? desired?.namespaces ?? (await cache.namespaces());
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
  if (options.json) printJson({ cache: cache.url, proven: areProven, namespaces: proofs });
  else print(proofsText(proofs, cache.url));
  return areProven ? 0 : 1;
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
