import { Command, Option } from "commander";
import { applyCommand } from "./node-apply.ts";
import { checkCommand } from "./node-check.ts";
import { planCommand } from "./node-plan.ts";
import { rollbackCommand } from "./node-rollback.ts";
import { verifyCommand } from "./node-verify.ts";
import { watchCommand } from "./node-watch.ts";

/** `entrepot node`: wires this node's containerd to a cache, and takes it back. */
export function nodeCommand(): Command {
  const node = new Command("node")
    .exitOverride()
    .description("wire this node's containerd to a cache, without ever breaking the node")
    .addHelpText("after", EXAMPLES);
  const commands = [
    checkCommand(),
    planCommand(),
    applyCommand(),
    verifyCommand(),
    rollbackCommand(),
    watchCommand(),
  ];
  for (const command of commands) node.addCommand(withPlaces(command).exitOverride());
  return node;
}

/** Where to look; the same for every command. */
function withPlaces(command: Command): Command {
  return command
    .option(
      "--root <folder>",
      "work on the files of another root (an image, a chroot), and on files only",
    )
    .option("--socket <path>", "containerd's socket, /run/containerd/containerd.sock unless set")
    .option(
      "--containerd-config <file>",
      "its main configuration, as the running containerd names it unless set",
    )
    .option("--containerd-version <version>", "its version, where nothing that runs can tell it")
    .option("--state-dir <folder>", "where the journal is, /var/lib/entrepot/node unless set")
    .addOption(
      new Option("--restart-command <command>", "in place of systemctl restart containerd.service"),
    )
    .option("--json", "print facts for machines");
}

const EXAMPLES = `
Examples:
  entrepot node check                                 what is wrong here?
  entrepot node plan --cache http://cache:5000        what would change?
  entrepot node apply --cache http://cache:5000       change it, prove it, or take it back
  entrepot node verify                                does it still go through the cache?
  entrepot node rollback                              every byte as it was

Exit codes: 0 all is well, 1 something is wrong or was not done, 2 wrong use.`;
