import { Command } from "commander";
import { loadSettings } from "../../config/load.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { examine } from "../../doctor/examine.ts";
import type { Finding, State } from "../../doctor/finding.ts";

/** Below this, in milliseconds, nobody wonders. */
const QUIET_FOR = 1_000;

interface DoctorOptions {
  readonly config?: string;
  readonly listen?: string;
  readonly admin?: string;
  readonly data?: string;
  readonly image?: readonly string[];
  readonly offline?: true;
  readonly json?: true;
}

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("check this machine, its network and the registries; each row says what to do")
    .option("--config <file>", "the cache's configuration (ENTREPOT_CONFIG)")
    .option("--listen <address>", "where nodes ask (ENTREPOT_LISTEN)")
    .option("--admin <address>", "where metrics are (ENTREPOT_ADMIN)")
    .option("--data <folder>", "where content is kept (ENTREPOT_DATA)")
    .option("--image <image...>", "an image to ask its registry for, such as ghcr.io/org/app:1")
    .option("--offline", "leave the registries out")
    .option("--json", "print the rows as JSON")
    .action(async (options: DoctorOptions) => {
      process.exitCode = await run(options);
    });
}

async function run(options: DoctorOptions): Promise<number> {
  try {
    const settings = loadSettings({ flags: options, env: process.env });
    const images = new Map(
      (options.image ?? []).map((image) => {
        const at = image.indexOf("/");
        if (at < 1) {
          const written = JSON.stringify(image);
          throw new ConfigError([
            { message: `--image: ${written} names no registry: docker.io/library/nginx:1, say` },
          ]);
        }
        return [image.slice(0, at), image.slice(at + 1)] as const;
      }),
    );
    const stranger = [...images.keys()].find(
      (name) => ![...settings.upstreams.keys()].some((one) => one === name),
    );
    if (stranger !== undefined) {
      const known = [...settings.upstreams.keys()].join(", ");
      throw new ConfigError([
        { message: `--image: ${JSON.stringify(stranger)} is none of the registries: ${known}` },
      ]);
    }
    using waiting = new WaitingLine();
    const findings = await examine(settings, {
      images,
      isOffline: options.offline === true,
      waitingFor: (names) => waiting.show(names),
    });
    waiting.end();
    const problems = findings.filter(({ state }) => state === "problem").length;
    if (options.json) console.log(JSON.stringify({ problems, findings }, undefined, 2));
    else console.log(table(findings, process.stdout.isTTY));
    return problems > 0 ? 1 : 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`entrepot: ${error.message}\n`);
    return 2;
  }
}

/** What is waited for, on a terminal and once it takes a while: a registry that is away takes 20 s. */
class WaitingLine implements Disposable {
  readonly #timer = setTimeout(() => this.#tell(), QUIET_FOR);
  #names: readonly string[] = [];
  #isShown = false;

  show(names: readonly string[]): void {
    this.#names = names;
    if (this.#isShown) this.#tell();
  }

  end(): void {
    clearTimeout(this.#timer);
    if (this.#isShown) process.stderr.write("\r\u001B[K");
    this.#isShown = false;
  }

  [Symbol.dispose](): void {
    this.end();
  }

  #tell(): void {
    if (!process.stderr.isTTY) return;
    this.#isShown = true;
    const what = this.#names.length > 0 ? this.#names.join(", ") : "the cache";
    process.stderr.write(`\r\u001B[Kwaiting for ${what}`);
  }
}

const COLOURS: Readonly<Record<State, number>> = { ok: 32, note: 33, problem: 31, unknown: 90 };

/** Exported for its test. */
export function table(findings: readonly Finding[], hasColours: boolean): string {
  const width = (of: (finding: Finding) => string): number =>
    Math.max(0, ...findings.map((finding) => of(finding).length));
  const [state, topic, subject] = [
    width((one) => one.state),
    width((one) => one.topic),
    width((one) => one.subject),
  ];
  const indent = " ".repeat(state + topic + subject + 6);
  const lines = findings.flatMap((finding) => {
    const padded = finding.state.padEnd(state);
    const shown = hasColours ? `\u001B[${COLOURS[finding.state]}m${padded}\u001B[0m` : padded;
    const row = `${shown}  ${finding.topic.padEnd(topic)}  ${finding.subject.padEnd(subject)}  ${finding.found}`;
    return finding.advice === undefined ? [row] : [row, `${indent}→ ${finding.advice}`];
  });
  const problems = findings.filter((one) => one.state === "problem").length;
  const notes = findings.filter((one) => one.state === "note").length;
  const count = (n: number, word: string): string => `${n} ${word}${n === 1 ? "" : "s"}`;
  return [...lines, "", `${count(problems, "problem")}, ${count(notes, "note")}`].join("\n");
}
