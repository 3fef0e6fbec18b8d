import { Command } from "commander";
import { isWrong } from "../node/findings.ts";
import type { PlaceOptions } from "./node-site.ts";
import { openSite, run } from "./node-site.ts";
import { factsText, findingsText, printJson } from "./node-print.ts";

export function checkCommand(): Command {
  return new Command("check")
    .description("say what is wrong with how containerd here goes to registries; changes nothing")
    .action((options: PlaceOptions) => run(options.json, () => check(options)));
}

async function check(options: PlaceOptions): Promise<number> {
  const site = openSite(options);
  const { facts, findings } = await site.runtime.inspect(site.files);
  const wrong = findings.filter(isWrong);
  const journal = site.journal.read();
  if (options.json) {
    const wired = journal
      ? { cache: journal.wish.cache, namespaces: journal.wish.namespaces }
      : null;
    printJson({ facts, findings, wired, unfinished: journal?.unfinished ?? null });
    return wrong.length > 0 || journal?.unfinished ? 1 : 0;
  }
  console.log(factsText(facts));
  if (journal)
    console.log(`\nWired to ${journal.wish.cache} for ${journal.wish.namespaces.join(", ")}.`);
  if (findings.length > 0) console.log(`\n${findingsText(findings)}`);
  if (site.filesOnly)
    console.log(
      `\nOnly the files below ${options.root} were looked at; nothing was asked whether it runs.`,
    );
  if (journal?.unfinished) {
    console.log(
      `\nAn ${journal.unfinished} was cut short: run entrepot node apply or rollback again.`,
    );
    return 1;
  }
  console.log(
    wrong.length === 0
      ? "\nNothing is wrong."
      : `\n${wrong.length} ${wrong.length === 1 ? "thing is" : "things are"} wrong.`,
  );
  return wrong.length > 0 ? 1 : 0;
}
