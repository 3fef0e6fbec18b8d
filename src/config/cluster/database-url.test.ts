import { describe, expect, test } from "bun:test";
import { parseDatabaseUrl } from "./database-url.ts";

const SERVER = { host: "db", port: 5432, user: "me", password: "secret", database: "cache" };

describe("the URL of a database", () => {
  test.each([
    ["postgres://me:secret@db/cache", { ...SERVER, tls: "none" as const }],
    ["postgresql://me:secret@db:6543/cache\n", { ...SERVER, port: 6543, tls: "none" as const }],
    ["postgres://me:a%2Fb%40c@db/cache", { ...SERVER, password: "a/b@c", tls: "none" as const }],
    ["postgres://me@[::1]/cache", { ...SERVER, host: "::1", password: "", tls: "none" as const }],
    [
      "postgres://me:secret@db/cache?sslmode=require",
      { ...SERVER, tls: { verify: "nothing" as const } },
    ],
    [
      "postgres://me:secret@db/cache?sslmode=verify-full",
      { ...SERVER, tls: { verify: "full" as const } },
    ],
  ])("%j names a server", (text, expected) => {
    expect(parseDatabaseUrl(text)).toEqual(expected);
  });

  test.each([
    ["", { ca: "PEM", verify: "full" as const }],
    ["?sslmode=require", { ca: "PEM", verify: "authority" as const }],
    ["?sslmode=verify-ca", { ca: "PEM", verify: "authority" as const }],
  ])("with a CA, %j checks the server's certificate by it", (search, tls) => {
    expect(parseDatabaseUrl(`postgres://me:secret@db/cache${search}`, "PEM")).toEqual({
      ...SERVER,
      tls,
    });
  });

  test.each([
    ["", "is not a URL such as postgres://user:password@host:5432/database"],
    ["db/cache", "is not a URL such as postgres://user:password@host:5432/database"],
    [
      "postgres://me:p@ss:word@[/cache",
      "is not a URL such as postgres://user:password@host:5432/database",
    ],
    ["https://me:secret@db/cache", "begins with https: instead of postgres:"],
    ["postgres://db/cache", "names no user"],
    ["postgres:///cache", "names no host"],
    ["postgres://me:secret@db", "names no database after the host"],
    ["postgres://me:secret@db/", "names no database after the host"],
    ["postgres://me:secret@db/a/b", "names no database after the host"],
    [
      "postgres://me:100%@db/cache",
      "has a % that is not followed by two hexadecimal digits: write it as %25",
    ],
    [
      "postgres://me:secret@db/cache?sslmode=prefer",
      "has the sslmode prefer: use disable, require, verify-ca or verify-full",
    ],
    [
      "postgres://me:secret@db/cache?sslmode=constructor",
      "has the sslmode constructor: use disable, require, verify-ca or verify-full",
    ],
    [
      "postgres://me:secret@db/cache?host=/run/postgresql",
      "has the parameter host: only sslmode is supported",
    ],
  ])("%j is refused", (text, problem) => {
    expect(parseDatabaseUrl(text)).toBe(problem);
  });

  test("without TLS has no use for a CA", () => {
    expect(parseDatabaseUrl("postgres://me:secret@db/cache?sslmode=disable", "PEM")).toBe(
      "has sslmode=disable, with which the CA is not used: remove one of them",
    );
  });
});
