import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { Command, Option } from "commander";
import { commandTree } from "../src/commands/help/command-tree.ts";
import { completionScript } from "../src/commands/help/completion.ts";
import { wholeProgram } from "../src/commands/commands.ts";
import { KnownValuesArgument } from "../src/commands/known-values.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { command } from "./harness/cache/commands.ts";
import { textImage } from "./harness/images/images.ts";
import { InteractiveShell } from "./harness/cache/interactive-shell.ts";
import { run } from "./harness/processes.ts";
import { pull } from "./harness/cache/pull.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

const PROGRAM = new URL("../bin/entrepot", import.meta.url).pathname;
const SHELLS = ["bash", "zsh", "fish"] as const;

/** Completes lines in a shell, as a user sees it. */
interface Completing extends AsyncDisposable {
  /** The last words that the line can end with. */
  complete(line: string): Promise<string[]>;
  /** The same with descriptions, where the shell has them. */
  list(line: string): Promise<string>;
}

async function startShell(
  shell: (typeof SHELLS)[number],
  script: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Completing> {
  if (shell === "fish") {
    const list = async (line: string): Promise<string> => {
      const text = `source '${script}'; complete -C ${JSON.stringify(line)}`;
      const { stdout, stderr } = await run(["fish", "--no-config", "-c", text], { env });
      expect(stderr).toBe("");
      return stdout;
    };
    return {
      list,
      complete: async (line) => {
        const lines = (await list(line)).split("\n").filter((one) => one !== "");
        return lines.map((one) => one.split("\t")[0] ?? "").sort();
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const session = await InteractiveShell.start(shell, script, env);
  return {
    list: (line) => session.list(line),
    complete: async (line) => {
      const completed = await session.complete(line);
      const kept = line.slice(0, line.lastIndexOf(" ") + 1);
      expect(completed).toStartWith(kept);
      return completed.slice(kept.length).split(" ").filter(Boolean).sort();
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

const RUNTIMES = ["auto", "containerd", "cri-o", "docker", "k3s", "podman", "rke2"];

/** What every shell must offer for a line. */
const cases: [line: string, expected: string[]][] = [
  ["entrepot no", ["node"]],
  ["entrepot node ", ["apply", "await", "check", "help", "plan", "rollback", "verify", "watch"]],
  ["entrepot node ap", ["apply"]],
  ["entrepot serve --log-l", ["--log-level"]],
  ["entrepot serve --log-level ", ["debug", "error", "info", "warn"]],
  ["entrepot serve --log-level=d", ["--log-level=debug"]],
  ["entrepot serve --log-level info --log-fo", ["--log-format"]],
  ["entrepot node apply --runtime ", RUNTIMES],
  ["entrepot node apply --upstream docker.io --adop", ["--adopt"]],
  ["entrepot render bu", ["buildkit"]],
  ["entrepot render --cache http://cache:5000 bu", ["buildkit"]],
  ["entrepot completion ", ["bash", "fish", "zsh"]],
  ["entrepot help no", ["node"]],
  ["entrepot serve --config FOLDER/my", ["FOLDER/my.yaml"]],
  ["entrepot serve --config=FOLDER/my", ["--config=FOLDER/my.yaml"]],
  ["entrepot import one.yaml FOLDER/my", ["FOLDER/my.yaml"]],
  ["entrepot serve --data FOLDER/da", ["FOLDER/data"]],
  ["entrepot adopt FOLDER/da", ["FOLDER/data"]],
];

realTest("bash, zsh and fish complete commands, options, values, files and folders", async () => {
  const tree = commandTree(await wholeProgram());
  await using folder = await tempDir("completion");
  await mkdir(folder.file("data"));
  await writeFile(folder.file("my.yaml"), "");
  await Promise.all(
    SHELLS.map(async (shell) => {
      const script = folder.file(`script.${shell}`);
      await writeFile(script, completionScript(shell, tree));
      await using session = await startShell(shell, script);
      for (const [line, expected] of cases) {
        const typed = line.replace("FOLDER", folder.path);
        const found = await session.complete(typed);
        // zsh writes the = after an option that takes a value, and inserts folders with a slash.
        const words = found.map((word) => word.replace(line.includes("=") ? /\/$/ : /[=/]$/, ""));
        const wanted = expected.map((word) => word.replace("FOLDER", folder.path));
        expect({ shell, line, words }).toEqual({ shell, line, words: wanted });
      }
    }),
  );
});

realTest(
  "images, pins and registries are completed from the running cache and its configuration",
  async () => {
    const tree = commandTree(await wholeProgram());
    await using folder = await tempDir("completion-values");
    await mkdir(folder.file("bin"));
    await symlink(PROGRAM, folder.file("bin/entrepot"));
    await using upstream = await startScriptedUpstream();
    const image = textImage({ text: "one" });
    upstream.add("team/app", image, "1");
    upstream.add("team/app", image, "2");
    const settings = { ...localUpstream(upstream.url), tagTtl: "1h" };
    await using cache = await startEntrepot({
      config: { upstreams: { "reg.test": settings, "other.test": settings } },
    });
    await pull(cache, "team/app", "1", image);
    await pull(cache, "team/app", "2", image);
    await command(cache, "pin", "reg.test/team/*:*");
    await command(cache, "freeze", "reg.test/*", "--as-of", "now", "--reason", "for a test");
    const config = ["--config", "~/it\\'s/entrepot.yaml"];
    await mkdir(folder.file("it's"));
    await copyFile(cache.configFile, folder.file("it's/entrepot.yaml"));
    const ask = async (source: string, ...words: string[]): Promise<string> => {
      const asked = [PROGRAM, "__complete", source, "--", "re", ...words];
      return (await run(asked, { env: { HOME: folder.path } })).stdout;
    };
    const at = ["--admin", cache.adminAddress];
    expect(
      await Promise.all([
        ask("images", "purge", ...at),
        ask("pins", "unpin", ...at),
        ask("freezes", "unfreeze", ...at),
        ask("upstreams", "adopt", ...config),
        ask("upstreams", "render", `--cache=http://${cache.address}`),
      ]),
    ).toEqual([
      "reg.test/team/app:1\nreg.test/team/app:2\n",
      "reg.test/team/*:*\n",
      "reg.test/*:*\n",
      "reg.test\n",
      "reg.test\n",
    ]);
    const line = `entrepot purge ${at.join(" ")} reg.test/te`;
    await Promise.all(
      SHELLS.map(async (shell) => {
        const script = folder.file(`script.${shell}`);
        await writeFile(script, completionScript(shell, tree));
        await using session = await startShell(shell, script, {
          PATH: `${folder.file("bin")}:${process.env["PATH"]}`,
        });
        const words = await session.complete(line);
        expect({ shell, words }).toEqual({
          shell,
          words: ["reg.test/team/app:1", "reg.test/team/app:2"],
        });
      }),
    );
  },
);

test("what a completion script asks for is silent if it fails", async () => {
  const asked: [source: string, ...words: string[]][] = [
    ["images", "--admin", "127.0.0.1:1"],
    ["images", "--admin", "nonsense"],
    ["pins", "--config", "/nowhere/entrepot.yaml"],
    ["upstreams", "--cache", "nonsense"],
    ["nonsense"],
  ];
  const results = await Promise.all(
    asked.map(([source, ...words]) =>
      run([PROGRAM, "__complete", source, "--", "a", "purge", ...words]),
    ),
  );
  for (const result of results) expect(result).toMatchObject({ code: 0, stdout: "", stderr: "" });
});

/** A program with text that each shell would take for something else. */
function oddProgram(marker: string): Command {
  const odd = `it's "quoted" [in] {braces}: a\\b $(touch ${marker}) \`touch ${marker}\` $HOME 100% a;b|c & #x ~ *`;
  const list = new KnownValuesArgument("<target>", odd, [{ value: "one:two", title: odd }]);
  const one = new Command("one").description(odd).addArgument(list);
  one.option("--switch", odd).option("--valued <what:ever>", odd);
  one.addOption(new Option("--choice <name>", odd).choices(["a:b", "a=c"]));
  one.addOption(new Option("--secret", "not shown").hideHelp());
  const program = new Command("entrepot").description("odd").addCommand(one);
  return program.addCommand(new Command("hidden"), { hidden: true });
}

realTest("descriptions are data to each shell, and what is hidden is not offered", async () => {
  await using folder = await tempDir("completion-odd");
  const marker = folder.file("ran");
  const tree = commandTree(oddProgram(marker));
  const shown = `it's "quoted" [in] {braces}: a\\b $(touch ${marker}) \`touch ${marker}\` $HOME 100% a;b|c & #x ~ *`;
  await Promise.all(
    SHELLS.map(async (shell) => {
      const script = folder.file(`script.${shell}`);
      await writeFile(script, completionScript(shell, tree));
      await using session = await startShell(shell, script);
      expect(await session.complete("entrepot ")).toEqual(["help", "one"]);
      const escapedValue = shell === "zsh" ? "one\\:two" : "one:two";
      const value = await session.complete("entrepot one on");
      expect([escapedValue, "one:two"]).toContain(value.join(" "));
      const flags = (await session.complete("entrepot one --")).map((word) =>
        word.replace(/=$/, ""),
      );
      expect(flags).toEqual(["--choice", "--help", "--switch", "--valued"]);
      if (shell === "bash") return;
      for (const line of ["entrepot ", "entrepot one ", "entrepot one --s"]) {
        const listed = (await session.list(line)).replaceAll(/\r?\n/g, "\n");
        expect({ shell, line, listed }).toEqual({
          shell,
          line,
          listed: expect.stringContaining(shown),
        });
      }
    }),
  );
  expect(existsSync(marker)).toBe(false);
});

realTest("bash and zsh find the scripts where the help says that they go", async () => {
  const tree = commandTree(await wholeProgram());
  await using folder = await tempDir("completion-installed");
  const share = folder.file("share");
  const shells = {
    bash: {
      place: "bash-completion/completions/entrepot",
      setup: ". /usr/share/bash-completion/bash_completion",
    },
    zsh: {
      place: "zsh/site-functions/_entrepot",
      setup: `fpath=('${share}/zsh/site-functions' $fpath); compinit -u -D`,
    },
  } as const;
  await Promise.all(
    (["bash", "zsh"] as const).map(async (shell) => {
      const { place, setup } = shells[shell];
      const file = path.join(share, place);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, completionScript(shell, tree));
      await writeFile(folder.file(shell), setup);
      await using session = await startShell(shell, folder.file(shell), { XDG_DATA_DIRS: share });
      expect(await session.complete("entrepot node ap")).toEqual(["apply"]);
    }),
  );
});
