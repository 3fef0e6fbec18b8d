import { ConfigError, type Position, type Problem, quote } from "../parsing/problems.ts";

/** One `Key=value` of a unit, with its continuation lines joined. */
export interface Assignment {
  readonly key: string;
  readonly value: string;
  readonly at: Position;
}

/** How a program joins lines that end in a backslash. */
export interface LineRules {
  /** What replaces the backslash: systemd has a space there, Podman's Quadlet nothing. */
  readonly joint: string;
  /** Whether an empty line ends a value that is continued, as in systemd. */
  readonly endsAtEmptyLine: boolean;
}

export const SYSTEMD_LINES: LineRules = { joint: " ", endsAtEmptyLine: true };
export const QUADLET_LINES: LineRules = { joint: "", endsAtEmptyLine: false };

/** The sections of a unit, as systemd.syntax(7) describes them. */
export class UnitFile {
  readonly #sections: ReadonlyMap<string, readonly Assignment[]>;

  private constructor(
    /** The path as the operator wrote it. */
    readonly name: string,
    sections: ReadonlyMap<string, readonly Assignment[]>,
  ) {
    this.#sections = sections;
  }

  /** @throws ConfigError with all lines that are neither section, assignment nor comment */
  static parse(name: string, text: string, rules: LineRules): UnitFile {
    const sections = new Map<string, Assignment[]>();
    const problems: Problem[] = [];
    let current: Assignment[] | undefined;
    for (const { text: line, number } of logicalLines(text, rules)) {
      const at = { file: name, line: number, column: 1 };
      const section = /^\[([^[\]]+)\]$/.exec(line)?.[1];
      const end = line.indexOf("=");
      if (section !== undefined) {
        current = sections.get(section) ?? [];
        sections.set(section, current);
      } else if (end <= 0 || line.startsWith("[")) {
        const message = `${quote(line)} is neither a [Section] nor a Key=value`;
        problems.push({ ...at, message });
      } else if (current) {
        const [key, value] = [line.slice(0, end).trim(), line.slice(end + 1).trim()];
        current.push({ key, value, at });
      } else problems.push({ ...at, message: "is not in a [Section]" });
    }
    if (problems.length > 0) throw new ConfigError(problems);
    return new UnitFile(name, sections);
  }

  /** This unit with the assignments of its drop-ins behind its own. */
  with(dropIns: readonly UnitFile[]): UnitFile {
    const sections = new Map(this.#sections);
    for (const { sections: added } of dropIns.map((unit) => ({ sections: unit.#sections }))) {
      for (const [section, lines] of added) {
        sections.set(section, [...(sections.get(section) ?? []), ...lines]);
      }
    }
    return new UnitFile(this.name, sections);
  }

  has(section: string): boolean {
    return this.#sections.has(section);
  }

  keys(section: string): string[] {
    return [...new Set((this.#sections.get(section) ?? []).map(({ key }) => key))];
  }

  /** All assignments of a key. An empty one discards those before it. */
  all(section: string, key: string): Assignment[] {
    const found = (this.#sections.get(section) ?? []).filter((line) => line.key === key);
    return found.slice(found.findLastIndex(({ value }) => value === "") + 1);
  }

  /** The assignment that counts for a key with one value; undefined if that is empty. */
  last(section: string, key: string): Assignment | undefined {
    return this.all(section, key).at(-1);
  }
}

/** Whether a text has a line with this section. */
export function hasSection(text: string, section: string): boolean {
  const heading = new RegExp(String.raw`^[ \t]*\[${section}\][ \t]*\r?$`, "m");
  // A script may have a unit in a here-document.
  return heading.test(text) && /^\uFEFF?(?:[ \t]*(?:[#;](?!!).*)?\r?\n)*[ \t]*\[/.test(text);
}

/** Lines without comments, each with the number of its first physical line. */
function logicalLines(text: string, rules: LineRules): { text: string; number: number }[] {
  const lines: { text: string; number: number }[] = [];
  let parts: string[] = [];
  let first = 0;
  const finish = (): void => {
    const joined = parts.join(rules.joint).trim();
    if (joined !== "") lines.push({ text: joined, number: first });
    parts = [];
  };
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    const isContinuing = parts.length > 0;
    if (/^[#;]/.test(line) || (line === "" && !(isContinuing && rules.endsAtEmptyLine))) continue;
    if (!isContinuing) first = index + 1;
    parts.push(line.endsWith("\\") ? line.slice(0, -1) : line);
    if (!line.endsWith("\\")) finish();
  }
  finish();
  return lines;
}
