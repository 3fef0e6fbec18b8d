import { expect, test } from "bun:test";
import { configErrorOf, filesOf } from "../configtest/load-text.ts";
import { loadSettings } from "../load.ts";
import type { DatabaseSettings } from "../database-settings.ts";

function database(url: string, keys = ""): DatabaseSettings | undefined {
  const files = {
    "/etc/e.yaml": `cluster: { secretFile: shared, database: { urlFile: pg${keys} } }`,
    "/etc/shared": "0123456789abcdef",
    "/etc/pg": url,
    "/etc/empty.pem": "",
  };
  const readFile = filesOf(files);
  return loadSettings({ flags: { config: "/etc/e.yaml" }, readFile }).cluster?.database;
}

test("the URL of the database is read from its file", () => {
  expect(database("postgres://me:hunter2@db/cache?sslmode=require\n")).toEqual({
    host: "db",
    port: 5432,
    user: "me",
    password: "hunter2",
    database: "cache",
    tls: { verify: "nothing" },
  });
});

test.each([
  ["postgres://me:hunter2@db", "", "/etc/pg names no database after the host"],
  ["", "", "/etc/pg is not a URL"],
  ["postgres://me:hunter2@db/cache?sslmode=prefer", "", "has the sslmode prefer"],
  ["postgres://me:hunter2@db/cache", ", ca: nowhere.pem", "/etc/nowhere.pem does not exist"],
  ["postgres://me:hunter2@db/cache", ", ca: empty.pem", "/etc/empty.pem"],
  ["postgres://me:hunter2@db/cache", ", url: 'postgres://db'", "url"],
])("%p is refused, without its password", (url, keys, message) => {
  const error = configErrorOf(() => database(url, keys));
  expect(error).toContain(message);
  expect(error).not.toContain("hunter2");
});
