import { Command } from "commander";
import { accessTestCommand } from "./access-test.ts";
import { explainCommand } from "./explain.ts";

const EXAMPLES = `
Examples:
  entrepot access explain --config e.yaml user:alice ghcr.io/org/app
  entrepot access test --config e.yaml cases.yaml

Cases are a list of principals and images, and whether they may pull:
  - { principal: "user:alice", image: ghcr.io/org/app, expect: allow }
  - { principal: anonymous, image: ghcr.io/org/app, expect: refuse }`;

/** `entrepot access`: who may pull what, by the configuration alone. */
export function accessCommand(): Command {
  const access = new Command("access")
    .exitOverride()
    .description("show and test who may pull what, by the configuration alone")
    .addHelpText("after", EXAMPLES);
  for (const command of [explainCommand(), accessTestCommand()]) {
    access.addCommand(command.exitOverride());
  }
  return access;
}
