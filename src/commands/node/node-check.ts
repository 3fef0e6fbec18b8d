import { Command } from "commander";
import type { Finding } from "../../node/findings.ts";
import { isWrong, sortFindings } from "../../node/findings.ts";
import type { JournalDocument } from "../../node/journal.ts";
import { JournalError, removedFrom } from "../../node/journal.ts";
import { FilesFault } from "../../node/files/node-files.ts";
import type { NodeContext } from "../../node/node-context.ts";
import type { NodeOptions } from "./node-options.ts";
import { openNode, run } from "./node-options.ts";
import { factsText, findingsText, printJson } from "./node-print.ts";

export function checkCommand(): Command {
  return new Command("check")
    .description("say what is wrong with how containerd here goes to registries; changes nothing")
    .action((options: NodeOptions) => run(options.json, () => check(options)));
}

async function check(options: NodeOptions): Promise<number> {
  const context = openNode(options);
  const inspection = await context.runtime.inspect(context.files);
  const { facts } = inspection;
  const { journal, finding } = readJournal(context);
  const findings = sortFindings([...inspection.findings, ...(finding ? [finding] : [])]);
  const wrong = findings.filter(isWrong);
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
  if (context.filesOnly)
    console.log(
      `\nOnly the files below ${options.root} were looked at; nothing was asked whether it runs.`,
    );
  if (journal?.unfinished) {
    console.log(
      `\n${journal.unfinished === "apply" ? "An apply" : "A rollback"} was cut short: run entrepot node apply or rollback again.`,
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

/** A journal that cannot be used is one more thing to tell of a node, beside all others. */
function readJournal(context: NodeContext): { journal?: JournalDocument; finding?: Finding } {
  try {
    const journal = context.ownJournal();
    if (journal === undefined) return {};
    const finding = journal.unfinished ? undefined : outFinding(journal, context);
    return { journal, ...(finding ? { finding } : {}) };
  } catch (error) {
    const consequence = "nothing can be applied, verified, watched or rolled back here";
    if (error instanceof FilesFault) {
      const at = { file: context.journal.path };
      const what = `the journal cannot be read: ${error.message}`;
      const advice = "run this as root";
      return {
        finding: { code: "journal-unreadable", severity: "error", at, what, consequence, advice },
      };
    }
    if (!(error instanceof JournalError)) throw error;
    const { kind: code, at, what, advice } = error;
    const isAnother = code === "journal-of-another";
    return {
      finding: {
        code,
        severity: isAnother ? "warning" : "error",
        at,
        what: isAnother ? what : `the journal of the wiring is damaged: ${what}`,
        consequence: isAnother ? `${consequence} with these options` : consequence,
        advice,
      },
    };
  }
}

/** A watcher that ended meanwhile puts nothing back. */
function outFinding(journal: JournalDocument, context: NodeContext): Finding | undefined {
  const paths = removedFrom(journal, context.files);
  const [file] = paths;
  if (file === undefined) return undefined;
  const more = paths.length > 1 ? ` and out of ${paths.length - 1} more` : "";
  return {
    code: "cache-taken-out",
    severity: "warning",
    at: { file },
    what: `${journal.wish.cache} is taken out of it${more}, as entrepot node watch does while the cache fails`,
    consequence: "pulls go past the cache until it is put back",
    advice:
      "mend the cache, and see that entrepot node watch runs: it puts it back; so does entrepot node apply",
  };
}
