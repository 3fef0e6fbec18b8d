import { z } from "zod";
import type { Path } from "../parsing/yaml-source.ts";
import { fileSchema } from "../schema.ts";

/**
 * The first of several ways to write a value that the schema takes at a path; undefined where it
 * takes none, or has no such key. So that a reader of a foreign format need not know which keys
 * this version of the configuration has.
 */
export function firstTaken(at: Path, candidates: readonly unknown[]): unknown {
  const schema = schemaAt(at);
  return schema && candidates.find((candidate) => schema.safeParse(candidate).success);
}

function schemaAt(at: Path): z.ZodType | undefined {
  let current: unknown = fileSchema;
  for (const segment of at) {
    current = inner(current);
    if (current instanceof z.ZodObject) current = current.shape[String(segment)];
    else if (current instanceof z.ZodRecord) current = current.valueType;
    else return undefined;
  }
  return current instanceof z.ZodType ? current : undefined;
}

function inner(schema: unknown): unknown {
  let current = schema;
  while (current instanceof z.ZodOptional || current instanceof z.ZodNullable) {
    current = current.unwrap();
  }
  return current;
}
