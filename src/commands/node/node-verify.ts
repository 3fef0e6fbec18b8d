import { Command } from "commander";
import type { NamespaceProof } from "../../node/verify.ts";
import { isProven, verify } from "../../node/verify.ts";
import { printJson, table } from "./node-print.ts";
import { readCa } from "./ca-file.ts";
import type { NodeOptions } from "./node-options.ts";
import { WrongUse, openCache, openNode, run } from "./node-options.ts";

interface VerifyOptions extends NodeOptions {
  readonly cache?: string;
  readonly ca?: string;
  readonly upstream?: readonly string[];
  readonly probe?: readonly string[];
}

export function verifyCommand(): Command {
  return new Command("verify")
    .description(
      "prove the wiring as it stands: the cache first, the registry after, seen by the cache",
    )
    .option("--cache <url>", "the cache, where the journal does not tell it")
    .option("--ca <file>", "the authority of its certificate, where the journal does not tell it")
    .option("--upstream <name...>", "these registries alone")
    .option(
      "--probe <image...>",
      "images to prove it with; one of each registry is chosen otherwise",
    )
    .action((options: VerifyOptions) => run(options.json, () => prove(options)));
}

async function prove(options: VerifyOptions): Promise<number> {
  const context = openNode(options);
  if (context.filesOnly)
    throw new WrongUse("verify pulls through a running containerd: leave --root out");
  const wish = context.ownJournal()?.wish;
  const url = options.cache ?? wish?.cache;
  if (url === undefined)
    throw new WrongUse("nothing is wired here: name the cache with --cache URL");
  const cache = openCache(url, options.ca === undefined ? wish?.cacheCa : readCa(options.ca));
  const namespaces = options.upstream ?? wish?.namespaces ?? (await cache.namespaces());
  const proofs = await verify({
    context,
    cache,
    namespaces,
    probes: options.probe ?? [],
    // Pulls take their time, and what is printed below may go to a file.
    say: (line) => {
      if (process.stderr.isTTY) process.stderr.write(`${line}\n`);
    },
  });
  const isGood = proofs.every(isProven);
  if (options.json) printJson({ cache: cache.url, proven: isGood, namespaces: proofs });
  else console.log(proofsText(proofs, cache.url));
  return isGood ? 0 : 1;
}

function proofsText(proofs: readonly NamespaceProof[], cache: string): string {
  const rows = proofs.map((proof) => [
    proof.namespace,
    isProven(proof) ? "proven" : "NOT PROVEN",
    proof.isCacheFirst ? "cache first" : "cache not first",
    `then ${[...proof.route.hosts.slice(1), proof.upstream.url].join(", ")} (${proof.upstream.answer})`,
    proof.probe.reference ?? "-",
    proof.probe.detail,
  ]);
  const problems = proofs.flatMap((proof) =>
    proof.route.problems.map((problem) => `  - ${proof.namespace}: ${problem}`),
  );
  const bad = proofs.filter((proof) => !isProven(proof));
  const lacksImages = bad.every((proof) => proof.isCacheFirst && proof.probe.outcome === "unknown");
  const next = lacksImages
    ? "Name an image of each with --probe IMAGE."
    : "entrepot node check says what is wrong.";
  const end =
    bad.length === 0
      ? `Every registry goes through ${cache}.`
      : `${bad.length} of ${proofs.length} could not be proven. ${next}`;
  return [table(rows), ...problems, "", end].join("\n");
}
