import { z } from "zod";
import type { Path } from "../parsing/yaml-source.ts";
import { fileSchema } from "../schema.ts";

/**
 * Selects the first of several representations of a value that the schema accepts at a path. This way an
 * importer does not have to know which keys this version of the configuration has.
 *
 * @returns undefined if the schema has no such key or accepts none of the candidates
 */
export function firstAccepted(path: Path, candidates: readonly unknown[]): unknown {
  const schema = schemaAt(path);
  return schema && candidates.find((candidate) => schema.safeParse(candidate).success);
}

function schemaAt(path: Path): z.ZodType | undefined {
  let current: unknown = fileSchema;
  for (const segment of path) {
    current = unwrapOptional(current);
    if (current instanceof z.ZodObject) current = current.shape[String(segment)];
    else if (current instanceof z.ZodRecord) current = current.valueType;
    else return undefined;
  }
  return current instanceof z.ZodType ? current : undefined;
}

function unwrapOptional(schema: unknown): unknown {
  let current = schema;
  while (current instanceof z.ZodOptional || current instanceof z.ZodNullable) {
    current = current.unwrap();
  }
  return current;
}
