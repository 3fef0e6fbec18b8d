import { Command, Option } from "commander";
import { RUNTIME_NAMES } from "../../node/runtime.ts";
import { KnownValuesOption } from "../known-values.ts";
import { applyCommand } from "./node-apply.ts";
import { awaitCommand } from "./node-await.ts";
import { checkCommand } from "./node-check.ts";
import { planCommand } from "./node-plan.ts";
import { rollbackCommand } from "./node-rollback.ts";
import { verifyCommand } from "./node-verify.ts";
import { watchCommand } from "./node-watch.ts";

/** `entrepot node`: wires this node's runtimes to a cache, and reverts the wiring. */
export function nodeCommand(): Command {
  const node = new Command("node")
    .exitOverride()
    .description("wire this node's runtimes to a cache, with a proof by pulls and a rollback")
    .addHelpText("after", EXAMPLES);
  const commands = [
    checkCommand(),
    planCommand(),
    applyCommand(),
    verifyCommand(),
    rollbackCommand(),
    watchCommand(),
  ];
  for (const command of commands) node.addCommand(withNodeOptions(command).exitOverride());
  node.addCommand(awaitCommand().exitOverride());
  return node;
}

/** Adds the options that all commands have: where the node's files are, and how to print. */
function withNodeOptions(command: Command): Command {
  return command
    .option("--root <dir>", "work only on the files below this root directory (an image, a chroot)")
    .option(
      "--live",
      "the node below --root is running: restart and prove as without it (verify and watch always do)",
    )
    .addOption(
      new KnownValuesOption(
        "--runtime <name>",
        `work only on this runtime: ${RUNTIME_NAMES.join(", ")} (default: auto, all that are installed)`,
        ["auto", ...RUNTIME_NAMES].map((value) => ({ value, title: "" })),
      ),
    )
    .option("--socket <path>", "the runtime's socket; without --runtime, containerd's")
    .option(
      "--containerd-config <file>",
      "containerd's main configuration (default: that of the running containerd)",
    )
    .option("--containerd-version <version>", "containerd's version, if it cannot be detected")
    .option(
      "--containerd-binary <file>",
      "a containerd program that runs here, whose `config dump` shows what is in force",
    )
    .option("--state-dir <dir>", "directory of the journal (default: /var/lib/entrepot/node)")
    .addOption(
      new Option(
        "--restart-command <command>",
        "use this command instead of systemctl restart of the runtime's unit",
      ),
    )
    .option("--json", "print JSON");
}

const EXAMPLES = `
Examples:
  entrepot node check                            report problems of this node
  entrepot node plan --cache http://cache:5000   show what would change
  entrepot node apply --cache http://cache:5000  change, prove, or revert it
  entrepot node verify                           prove that pulls use the cache
  entrepot node rollback                         restore the original files

Exit codes: 0 success, 1 a problem was found or the command failed, 2 invalid
command line.`;
