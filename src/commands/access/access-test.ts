import { Command } from "commander";
import { explain } from "../../access/rules/explain.ts";
import { printable, printableJson } from "../../printable.ts";
import { counted, tableLines } from "../table.ts";
import { readCases } from "./access-cases.ts";
import {
  type AccessOptions,
  configOf,
  reportingProblems,
  withAccessOptions,
} from "./config-option.ts";
import { reasonText } from "./explain.ts";

export function accessTestCommand(): Command {
  const command = new Command("test")
    .summary("compare it with a file of cases")
    .description(
      "compare who may pull what with the cases of a file; exit code 1 if one is not as expected",
    );
  return withAccessOptions(command)
    .argument(
      "<file>",
      "the cases: a list of principal, image and expect (allow, refuse or upstream) in YAML; - for standard input",
    )
    .action((file: string, options: AccessOptions) => {
      process.exitCode = reportingProblems(() => runTests(file, options));
    });
}

function runTests(file: string, options: AccessOptions): number {
  const config = configOf(options);
  const results = readCases(file).map(({ principal, image, expect, at }) => {
    const explanation = explain(config, principal, image);
    const name = `${image.upstream}/${image.repository}`;
    const passed = explanation.verdict === expect;
    return Object.assign({ principal, image: name, expect, at, passed }, explanation);
  });
  const failed = results.filter(({ passed }) => !passed);
  if (options.json) console.log(printableJson({ failed: failed.length, cases: results }));
  else {
    const columns = ["", "PRINCIPAL", "IMAGE", "EXPECTED", "FOUND", "BECAUSE"];
    const rows = results.map((result) => [
      result.passed ? "ok" : "FAILED",
      result.principal,
      result.image,
      result.expect,
      result.verdict,
      reasonText(result),
    ]);
    for (const line of tableLines(
      columns.map((title) => ({ title })),
      rows,
    )) {
      console.log(printable(line));
    }
    for (const { at, expect, verdict } of failed) {
      console.log(printable(`${at}: expected ${expect}, and found ${verdict}`));
    }
    console.log(
      failed.length === 0
        ? `All ${counted(results.length, "case")} are as expected.`
        : `${failed.length} of ${counted(results.length, "case")} failed.`,
    );
  }
  return failed.length === 0 ? 0 : 1;
}
