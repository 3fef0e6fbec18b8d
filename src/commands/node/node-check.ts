import { Command } from "commander";
import type { WiredNow } from "../../node/wiring/drift.ts";
import { driftFindings, wiredNow } from "../../node/wiring/drift.ts";
import type { Finding } from "../../node/findings.ts";
import { isProblem, sortFindings } from "../../node/findings.ts";
import type { JournalDocument } from "../../node/journal.ts";
import { JournalError, hostsFilesWithoutCache } from "../../node/journal.ts";
import { FilesFault } from "../../node/files/node-files.ts";
import type { NodeContext } from "../../node/node-context.ts";
import { askedFindings } from "./asked-credentials.ts";
import type { NodeOptions } from "./node-options.ts";
import { factsText, findingsText } from "./node-print.ts";
import type { Outcome } from "./node-runtimes.ts";
import { onEachRuntime } from "./node-runtimes.ts";

export function checkCommand(): Command {
  return new Command("check")
    .description("report problems of this node's runtimes and their registries; changes nothing")
    .action((options: NodeOptions) =>
      onEachRuntime(options, (context) => checkNode(context, options.root)),
    );
}

async function checkNode(context: NodeContext, root: string | undefined): Promise<Outcome> {
  const inspection = await context.runtime.inspect(context.files);
  const { facts } = inspection;
  const { journal, finding } = readJournal(context);
  const wired = journal && (await wiredNow(context, journal));
  const isFinished = journal !== undefined && journal.unfinished === null;
  const findings = sortFindings([
    ...inspection.findings,
    ...(finding ? [finding] : []),
    ...(isFinished && wired ? driftFindings(context, journal, wired) : []),
    ...(isFinished ? await askedFindings(context, journal) : []),
  ]);
  const problems = findings.filter(isProblem);
  const json = {
    command: "check",
    changed: false,
    facts,
    findings,
    wired: wired ? { cache: journal.desired.cache, ...wired } : null,
    unfinished: journal?.unfinished ?? null,
  };
  const code = problems.length > 0 || journal?.unfinished ? 1 : 0;
  const count =
    problems.length === 0
      ? "No problems found."
      : `${problems.length} ${problems.length === 1 ? "problem" : "problems"} found.`;
  const text = [
    factsText(facts),
    ...(wired ? wiredLines(context, journal, wired) : []),
    ...(findings.length > 0 ? [findingsText(findings)] : []),
    ...(root === undefined || !context.filesOnly
      ? []
      : [
          `Only the files below ${root} were checked: ${context.runtime.title} itself was not queried.`,
        ]),
    journal?.unfinished
      ? `${journal.unfinished === "apply" ? "An apply" : "A rollback"} was interrupted: run entrepot node apply or rollback again.`
      : count,
  ].join("\n\n");
  const summary = [wired ? `wired for ${wired.namespaces.join(", ")}` : "not wired", count];
  return { code, json, text, summary };
}

/** What an interrupted run has not written is not lost: a note about the run follows. */
function wiredLines(context: NodeContext, journal: JournalDocument, wired: WiredNow): string[] {
  const shown = journal.unfinished === null ? wired : { ...wired, lost: [] };
  const isAny = shown.namespaces.length > 0 || shown.lost.length > 0;
  return isAny ? [wiredNowText(context, journal, shown)] : [];
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
