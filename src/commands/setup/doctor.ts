import { Command } from "commander";
import { loadSettings } from "../../config/load.ts";
import { printable, printableJson, printableLines } from "../../printable.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { examine } from "../../doctor/examine.ts";
import type { Finding, State } from "../../doctor/finding.ts";

/** How long to wait before the progress line appears. */
const PROGRESS_DELAY_MS = 1_000;

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
    .description(
      "check this machine, its network and the registries; say how to fix each problem found",
    )
    .option("--config <file>", "the cache's configuration (ENTREPOT_CONFIG)")
    .option("--listen <address>", "address that nodes pull from (ENTREPOT_LISTEN)")
    .option("--admin <address>", "address of the metrics and the admin API (ENTREPOT_ADMIN)")
    .option("--data <dir>", "data directory (ENTREPOT_DATA)")
    .option(
      "--image <image...>",
      "image to request from its registry as a test, such as ghcr.io/org/app:1",
    )
    .option("--offline", "do not contact the registries")
    .option("--json", "print the findings as JSON")
    .action(async (options: DoctorOptions) => {
      process.exitCode = await run(options);
    });
}

async function run(options: DoctorOptions): Promise<number> {
  try {
    const settings = loadSettings({ flags: options, env: process.env });
    const images = new Map(
      (options.image ?? []).map((image) => {
        const slash = image.indexOf("/");
        if (slash < 1) {
          throw new ConfigError([
            {
              message: `--image: ${JSON.stringify(image)} has no registry: write it out, such as docker.io/library/nginx:1`,
            },
          ]);
        }
        return [image.slice(0, slash), image.slice(slash + 1)] as const;
      }),
    );
    const configured: string[] = [...settings.upstreams.keys()];
    const unknown = [...images.keys()].find((name) => !configured.includes(name));
    if (unknown !== undefined) {
      throw new ConfigError([
        {
          message: `--image: ${JSON.stringify(unknown)} is not a configured registry: use one of ${configured.join(", ")}`,
        },
      ]);
    }
    using progress = new ProgressLine();
    const findings = await examine(settings, {
      images,
      isOffline: options.offline === true,
      probeCluster: async () => {
        const { cluster } = settings;
        if (!cluster) return [];
        return (await import("../../cluster/probe.ts")).probeCluster(cluster);
      },
      onPending: (names) => progress.show(names),
    });
    progress.end();
    const problems = findings.filter(({ state }) => state === "problem").length;
    if (options.json) console.log(printableJson({ problems, findings }));
    else console.log(table(findings, process.stdout.isTTY));
    return problems > 0 ? 1 : 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`entrepot: ${printableLines(error.message)}\n`);
    return 2;
  }
}

/**
 * Shows which registries are still pending, on a terminal only and after `PROGRESS_DELAY_MS`: an
 * unreachable registry takes 20 s.
 */
class ProgressLine implements Disposable {
  readonly #timer = setTimeout(() => this.#write(), PROGRESS_DELAY_MS);
  #names: readonly string[] = [];
  #isShown = false;

  show(names: readonly string[]): void {
    this.#names = names;
    if (this.#isShown) this.#write();
  }

  end(): void {
    clearTimeout(this.#timer);
    if (this.#isShown) process.stderr.write("\r\u001B[K");
    this.#isShown = false;
  }

  [Symbol.dispose](): void {
    this.end();
  }

  #write(): void {
    if (!process.stderr.isTTY) return;
    this.#isShown = true;
    const pending = this.#names.length > 0 ? this.#names.join(", ") : "the cache";
    process.stderr.write(`\r\u001B[Kwaiting for ${pending}`);
  }
}

const COLOURS: Readonly<Record<State, number>> = { ok: 32, note: 33, problem: 31, unknown: 90 };

/** The findings as an aligned table; each advice follows its row. Exported for its test. */
export function table(examined: readonly Finding[], hasColours: boolean): string {
  const findings = examined.map(({ subject, found, advice, ...finding }) => ({
    ...finding,
    subject: printable(subject),
    found: printable(found),
    ...(advice === undefined ? {} : { advice: printable(advice) }),
  }));
  const width = (column: "state" | "topic" | "subject"): number =>
    Math.max(0, ...findings.map((finding) => finding[column].length));
  const [state, topic, subject] = [width("state"), width("topic"), width("subject")];
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
