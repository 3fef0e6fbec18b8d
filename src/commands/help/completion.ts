import { Argument, Command } from "commander";
import { bashCompletion } from "./bash-completion.ts";
import { type CommandNode, commandTree } from "./command-tree.ts";
import { fishCompletion } from "./fish-completion.ts";
import { zshCompletion } from "./zsh-completion.ts";

const SCRIPTS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

type Shell = keyof typeof SCRIPTS;

/** @param program loads the program with all of its commands */
export function completionCommand(program: () => Promise<Command>): Command {
  return new Command("completion")
    .description("print the completion script of a shell")
    .addArgument(new Argument("<shell>", "the shell that reads it").choices(Object.keys(SCRIPTS)))
    .addHelpText("after", INSTALLATION)
    .action(async (shell: Shell) => {
      process.stdout.write(completionScript(shell, commandTree(await program())));
    });
}

export function completionScript(shell: Shell, tree: CommandNode): string {
  return SCRIPTS[shell](tree);
}

const INSTALLATION = `
To install it for all users:
  bash   entrepot completion bash \\
           > /usr/local/share/bash-completion/completions/entrepot
  zsh    entrepot completion zsh \\
           > /usr/local/share/zsh/site-functions/_entrepot
  fish   entrepot completion fish > /etc/fish/completions/entrepot.fish

Create the folder if it is missing. For yourself alone:
  bash   echo 'source <(entrepot completion bash)' >> ~/.bashrc
  zsh    echo 'source <(entrepot completion zsh)' >> ~/.zshrc  (after compinit)
  fish   entrepot completion fish > ~/.config/fish/completions/entrepot.fish

Images, pins and registries are completed from the cache that runs, or from the
configuration, if entrepot is in your PATH.`;
