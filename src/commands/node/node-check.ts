import { Command } from "commander";
import type { WiredNow } from "../../node/drift.ts";
import { driftFindings, wiredNow } from "../../node/drift.ts";
import type { Finding } from "../../node/findings.ts";
import { isProblem, sortFindings } from "../../node/findings.ts";
import type { JournalDocument } from "../../node/journal.ts";
import { JournalError, hostsFilesWithoutCache } from "../../node/journal.ts";
import { FilesFault } from "../../node/files/node-files.ts";
import type { NodeContext } from "../../node/node-context.ts";
import type { NodeOptions } from "./node-options.ts";
import { openNode, run } from "./node-options.ts";
import { factsText, findingsText, print, printJson } from "./node-print.ts";

export function checkCommand(): Command {
  return new Command("check")
    .description("report problems of this node's containerd and its registries; changes nothing")
    .action((options: NodeOptions) => run(options.json, () => runCheck(options)));
}

async function runCheck(options: NodeOptions): Promise<number> {
  const context = openNode(options);
  const inspection = await context.runtime.inspect(context.files);
  const { facts } = inspection;
  const { journal, finding } = readJournal(context);
  const wired = journal && (await wiredNow(context, journal));
  const isFinished = journal !== undefined && journal.unfinished === null;
  const findings = sortFindings([
    ...inspection.findings,
    ...(finding ? [finding] : []),
    ...(isFinished && wired ? driftFindings(context, journal, wired) : []),
  ]);
  const problems = findings.filter(isProblem);
  if (options.json) {
    const cache = journal?.desired.cache;
    printJson({
      facts,
      findings,
      wired: wired ? { cache, ...wired } : null,
      unfinished: journal?.unfinished ?? null,
    });
    return problems.length > 0 || journal?.unfinished ? 1 : 0;
  }
  print(factsText(facts));
  if (journal && wired) {
    // What an interrupted run has not written is not lost: a note about the run follows.
    const shown = isFinished ? wired : { ...wired, lost: [] };
    if (shown.namespaces.length > 0 || shown.lost.length > 0)
      print(`\n${wiredNowText(context, journal, shown)}`);
  }
  if (findings.length > 0) print(`\n${findingsText(findings)}`);
  if (context.filesOnly)
    print(
      `\nOnly the files below ${options.root} were checked: containerd itself was not queried.`,
    );
  if (journal?.unfinished) {
    print(
      `\n${journal.unfinished === "apply" ? "An apply" : "A rollback"} was interrupted: run entrepot node apply or rollback again.`,
    );
    return 1;
  }
  print(
    problems.length === 0
      ? "\nNo problems found."
      : `\n${problems.length} ${problems.length === 1 ? "problem" : "problems"} found.`,
  );
  return problems.length > 0 ? 1 : 0;
}

function wiredNowText(
  context: NodeContext,
  journal: JournalDocument,
  { namespaces, lost }: WiredNow,
): string {
  const { cache } = journal.desired;
  if (lost.length === 0) return `Wired to ${cache} for ${namespaces.join(", ")}.`;
  if (hostsFilesWithoutCache(journal, context.files).length > 0)
    return `Wired to ${cache} for ${[...namespaces, ...lost].join(", ")}, but a watcher has removed it for now.`;
  if (namespaces.length > 0)
    return `Wired to ${cache} for ${namespaces.join(", ")}, and not any more for ${lost.join(", ")}.`;
  return `Not wired any more: the files lead no pull to ${cache} first. It was wired for ${lost.join(", ")}.`;
}

/** Reads the journal. One that cannot be used becomes a finding beside all others. */
function readJournal(context: NodeContext): { journal?: JournalDocument; finding?: Finding } {
  try {
    const journal = context.ownJournal();
    if (journal === undefined) return {};
    const finding = journal.unfinished ? undefined : bypassedFinding(journal, context);
    return { journal, ...(finding ? { finding } : {}) };
  } catch (error) {
    const consequence = "plan, apply, verify, watch and rollback do not work on this node";
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
    const isMismatch = code === "journal-mismatch";
    return {
      finding: {
        code,
        severity: isMismatch ? "warning" : "error",
        at,
        what: isMismatch ? what : `the journal of the wiring is damaged: ${what}`,
        consequence: isMismatch ? `${consequence} with these options` : consequence,
        advice,
      },
    };
  }
}

/** A watcher that ended while the cache was removed does not add it again. */
function bypassedFinding(journal: JournalDocument, context: NodeContext): Finding | undefined {
  const paths = hostsFilesWithoutCache(journal, context.files);
  const [file] = paths;
  if (file === undefined) return undefined;
  const more = paths.length > 1 ? ` and from ${paths.length - 1} more` : "";
  return {
    code: "cache-bypassed",
    severity: "warning",
    at: { file },
    what: `entrepot node watch has removed ${journal.desired.cache} from this file${more}, because the cache failed`,
    consequence: "pulls bypass the cache until it is added again",
    advice:
      "repair the cache and make sure that entrepot node watch is running, which adds it again; entrepot node apply does so too",
  };
}
