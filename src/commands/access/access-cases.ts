import { z } from "zod";
import type { Verdict } from "../../access/rules/explain.ts";
import { ConfigError, type Problem, quote } from "../../config/parsing/problems.ts";
import { type ReadText, readText, UnreadableError } from "../../config/parsing/read-text.ts";
import { schemaProblems } from "../../config/parsing/schema-problems.ts";
import { YamlSource } from "../../config/parsing/yaml-source.ts";
import type { ImageReference } from "../../oci/image-reference.ts";
import { parseImage, principalProblem } from "./config-option.ts";

const MAX_BYTES = 1024 * 1024;

/** What is expected of a pull. */
export interface AccessCase {
  readonly principal: string;
  readonly image: ImageReference;
  readonly expect: Verdict;
  /** Where it is written (`file:line:column`). */
  readonly at: string;
}

const schema = z
  .array(
    z.strictObject({
      principal: z.string(),
      image: z.string(),
      expect: z.enum(["allow", "refuse", "upstream"]),
    }),
  )
  .min(1, { message: "is empty: add a case" });

/**
 * Reads a file of cases.
 *
 * @param name `-` for standard input
 * @throws ConfigError
 */
export function readCases(name: string, readFile: ReadText = readText): AccessCase[] {
  const source = new YamlSource(name, read(name, readFile));
  const parsed = schema.safeParse(source.value ?? []);
  if (!parsed.success) {
    throw new ConfigError(schemaProblems(parsed.error.issues, schema, source));
  }
  const problems: Problem[] = [];
  const cases = parsed.data.flatMap(({ principal, image: text, expect }, index): AccessCase[] => {
    const problem = principalProblem(principal);
    if (problem !== undefined) problems.push(source.problem([index, "principal"], problem));
    const image = parseImage(text);
    if (typeof image === "string") {
      problems.push(source.problem([index, "image"], image));
      return [];
    }
    const { file, line, column } = source.problem([index], "");
    return [{ principal, image, expect, at: `${file}:${line}:${column}` }];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return cases;
}

function read(name: string, readFile: ReadText): string {
  try {
    return readFile(name === "-" ? "/dev/stdin" : name, MAX_BYTES);
  } catch (cause) {
    if (!(cause instanceof UnreadableError)) throw cause;
    throw new ConfigError([{ message: `${quote(name)} ${cause.message}` }], { cause });
  }
}
