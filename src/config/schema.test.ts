import { expect, test } from "bun:test";
import { z } from "zod";
import { fileSchema } from "./schema.ts";

const jsonSchema = z.toJSONSchema(fileSchema, { io: "input" });

/** Calls `visit` for each object schema and each property below a JSON Schema. */
function visitProperties(
  schema: unknown,
  path: string,
  visit: (path: string, property: object) => void,
): void {
  if (typeof schema !== "object" || schema === null) return;
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword !== "properties") {
      visitProperties(value, path, visit);
      continue;
    }
    const properties: Record<string, object> = value;
    for (const [key, property] of Object.entries(properties)) {
      visit(`${path}.${key}`, property);
      visitProperties(property, `${path}.${key}`, visit);
    }
  }
}

test("the schema converts to a JSON Schema in which every key has a description", () => {
  const described: string[] = [];
  const undescribed: string[] = [];
  visitProperties(jsonSchema, "", (path, property) => {
    ("description" in property ? described : undescribed).push(path);
  });
  expect(undescribed).toEqual([]);
  expect(described).toContain(".listen");
  expect(described).toContain(".upstreams.auth.passwordFile");
  expect(described).toContain(".upstreams.mirrors.overridePath");
  expect(described).toContain(".storage.maxSize");
});

test.each([
  [".listen", ["0.0.0.0:5000", "[::]:5000", ":5000", " 5000 "], ["here", "http://h:1", "1:2:3"]],
  [
    ".upstreams.listen",
    ["127.0.0.1:5000", "[::1]:5000", " localhost:5000 "],
    ["5000", ":5000", "here", "http://h:1"],
  ],
  ["scrub", ["4MiB", "10 GB", "4096", "1.5Ki"], ["ten", "10gib", "-1", "1PiB"]],
  ["share", ["20%", "0", "100%", " 12.5 % "], ["20", "-1%", "101%", "1e1%", ""]],
  ["maxSize", ["10GiB", "1048576"], ["10 apples"]],
  ["tagTtl", ["30s", "1h30m", "0", "1.5h", " 7d "], ["30", "5y", "5 s", ""]],
  [".upstreams.url", ["https://a.test", "HTTP://a.test/x"], ["a.test", "ftp://a.test"]],
  [".upstreams.mirrors.url", ["https://a.test", "HTTP://a.test/x"], ["a.test", "ftp://a.test"]],
  [
    ".cluster.store.url",
    ["https://a.test/b", "HTTP://a.test:9/b/c/", "https://b.a.test"],
    ["s3://b", "https://a.test/b?x", "https://me@a.test/b", "https://a.test/b c"],
  ],
])("the pattern of %s matches valid values and no invalid ones", (key, valid, invalid) => {
  const patterns = new Set<string>();
  visitProperties(jsonSchema, "", (path, property) => {
    const isMeant = key.startsWith(".") ? path === key : path.endsWith(`.${key}`);
    if (isMeant && "pattern" in property) patterns.add(String(property.pattern));
  });
  expect(patterns.size).toBe(1);
  const [pattern = ""] = patterns;
  const expression = new RegExp(pattern);
  expect(valid.filter((text) => !expression.test(text))).toEqual([]);
  expect(invalid.filter((text) => expression.test(text))).toEqual([]);
});
