import { until } from "../waiting.ts";

/** The keys to which the shells' set-up binds what the tests need. */
const KEYS = { completeAll: "\x14", list: "\x0f", show: "\x07" };

/** Inserts all completions of the word at once, and shows the command line instead of running it. */
const SETUP = {
  bash: `bind 'set bell-style none'
bind 'set page-completions off'
bind '"\\C-t": insert-completions'
bind '"\\C-o": possible-completions'
show() { printf 'LINE<%s>\\n' "$READLINE_LINE"; READLINE_LINE=''; READLINE_POINT=0; }
bind -x '"\\C-g": show'
`,
  zsh: `unsetopt zle_bracketed_paste
PROMPT='$ '
autoload -Uz compinit; compinit -u -D
all() { _main_complete; compstate[insert]=all; compstate[list]= }
zle -C all complete-word all
bindkey '^T' all
bindkey '^O' list-choices
show() { print -r "LINE<$BUFFER>"; BUFFER=; zle reset-prompt }
zle -N show
bindkey '^G' show
`,
} as const;

const COMMANDS = {
  bash: ["bash", "--norc", "--noprofile", "-i"],
  zsh: ["zsh", "-f", "-i"],
} as const;

/** A shell at a terminal, which completes what is typed. */
export class InteractiveShell implements AsyncDisposable {
  readonly #terminal: Bun.Terminal;
  readonly #process: Bun.Subprocess;
  readonly #decoder = new TextDecoder();
  #output = "";

  private constructor(shell: keyof typeof SETUP, env: Readonly<Record<string, string>>) {
    this.#terminal = new Bun.Terminal({
      cols: 400,
      rows: 200,
      data: (_, bytes) => {
        this.#output += this.#decoder.decode(bytes, { stream: true });
      },
    });
    this.#process = Bun.spawn([...COMMANDS[shell]], {
      terminal: this.#terminal,
      env: { ...process.env, TERM: "dumb", INPUTRC: "/dev/null", PS1: "$ ", ...env },
    });
  }

  /** @param script is sourced after the shell's own completion has been set up */
  static async start(
    shell: keyof typeof SETUP,
    script: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<InteractiveShell> {
    const started = new InteractiveShell(shell, env);
    started.#terminal.write(`${SETUP[shell]}source '${script}'; echo RE''ADY\n`);
    await until(() => started.#output.includes("READY"), { what: `${shell}'s set-up` });
    return started;
  }

  /** The line after all completions of its last word were inserted. */
  async complete(line: string): Promise<string> {
    const found = await this.#typed(`${line}${KEYS.completeAll}${KEYS.show}`);
    return found.line;
  }

  /** What the shell shows of the completions, with their descriptions if it has them. */
  async list(line: string): Promise<string> {
    const found = await this.#typed(`${line}${KEYS.list}${KEYS.show}`);
    return found.output;
  }

  async #typed(keys: string): Promise<{ readonly line: string; readonly output: string }> {
    this.#output = "";
    this.#terminal.write(keys);
    const line = await until(() => /LINE<([^\r\n]*)>\r?\n/.exec(this.#output), {
      what: `the shown line after ${JSON.stringify(keys)}`,
      detail: () => JSON.stringify(this.#output),
    });
    return { line: line[1] ?? "", output: this.#output };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
    this.#terminal.close();
  }
}
