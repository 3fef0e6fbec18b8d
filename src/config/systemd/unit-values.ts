import type { Variable } from "../distribution/container/container.ts";
import { parseVariable } from "../distribution/container/notation.ts";
import type { ImportContext } from "../distribution/format.ts";
import type { Setting } from "../distribution/registry-settings.ts";
import type { Origin } from "../foreign/imported-config.ts";
import type { Assignment, UnitFile } from "./unit-file.ts";
import { expandSpecifiers, type UnitIdentity } from "./unit-identity.ts";
import { splitWords, WordError } from "./words.ts";

/** The values of one section of a unit, with their specifiers expanded. Problems are reported. */
export class UnitValues {
  constructor(
    readonly unit: UnitFile,
    readonly section: string,
    readonly identity: UnitIdentity,
    readonly context: ImportContext,
  ) {}

  /** The whole values of a key. */
  texts(key: string): Setting[] {
    return this.unit.all(this.section, key).map((assignment) => ({
      value: expandSpecifiers(unquoted(assignment.value), this.identity),
      from: originOf(assignment),
    }));
  }

  text(key: string): Setting | undefined {
    return this.texts(key).at(-1);
  }

  /** The words of all values of a key. */
  words(key: string): Setting[] {
    return this.unit.all(this.section, key).flatMap((assignment) => this.split(assignment));
  }

  split(assignment: Assignment): Setting[] {
    const from = originOf(assignment);
    try {
      return splitWords(assignment.value).map((word) => ({
        value: expandSpecifiers(word, this.identity),
        from,
      }));
    } catch (error) {
      if (!(error instanceof WordError)) throw error;
      this.context.imported.reject(from, error.message);
      return [];
    }
  }

  /** The variables of `Environment=`. Their origins leave the values out: they may be passwords. */
  variables(key = "Environment"): Variable[] {
    return this.words(key).map(({ value, from }) => {
      const [name = ""] = value.split("=");
      return parseVariable(value, { ...from, what: `${key}=${name}` });
    });
  }
}

function originOf({ key, at }: Assignment): Origin {
  return { ...at, what: `${key}=` };
}

function unquoted(value: string): string {
  return /^".*"$/s.test(value) && value.length > 1 ? value.slice(1, -1) : value;
}
