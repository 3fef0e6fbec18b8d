import { Command } from "commander";
import { explain, type Explanation, type Verdict } from "../../access/rules/explain.ts";
import { printable, printableJson } from "../../printable.ts";
import {
  type AccessOptions,
  configOf,
  parseImage,
  principalProblem,
  reportingProblems,
  withAccessOptions,
} from "./config-option.ts";

const SAID: Readonly<Record<Verdict, string>> = {
  allow: "may pull",
  refuse: "may not pull",
  upstream: "may pull if the registry lets it:",
};

export function explainCommand(): Command {
  const command = new Command("explain")
    .summary("say what decides about a pull")
    .description(
      "say whether a client may pull an image, and what decides that; exit code 1 if it may not, or if only its registry can say",
    );
  return withAccessOptions(command)
    .argument("<principal>", "the client: user:alice, token:ci, certificate:node-7; or anonymous")
    .argument("<image>", "the image: ghcr.io/org/app")
    .action((principal: string, image: string, options: AccessOptions, self: Command) => {
      const problem = principalProblem(principal);
      if (problem !== undefined) self.error(`error: ${printable(problem)}`);
      const parsed = parseImage(image);
      if (typeof parsed === "string") self.error(`error: ${printable(parsed)}`);
      process.exitCode = reportingProblems(() => {
        const { upstream, repository } = parsed;
        const explanation = explain(configOf(options), principal, parsed);
        const name = `${upstream}/${repository}`;
        console.log(
          options.json
            ? printableJson({ principal, image: name, ...explanation })
            : printable(`${principal} ${SAID[explanation.verdict]} ${name}`),
        );
        if (!options.json) console.log(printable(reasonText(explanation)));
        return explanation.verdict === "allow" ? 0 : 1;
      });
    });
}

/** What decides, in one line: `access: clients (entrepot.yaml:3:5): rule 1 (entrepot.yaml:9:7) allows it`. */
export function reasonText({ access, accessFrom, why }: Explanation): string {
  if (access === undefined) return why;
  const place = accessFrom === undefined ? "" : ` (${accessFrom})`;
  return `access: ${access}${place}: ${why}`;
}
