import { expect, test } from "bun:test";
import { filesOf } from "../configtest/load-text.ts";
import type { AdminTokens } from "./admin-token.ts";
import { readAdminTokens } from "./admin-tokens.ts";

const [ONE, OTHER, THIRD] = ["0123456789abcdef", "fedcba9876543210", "another-token-for-reading"];

const FILES = {
  "/etc/one": `${ONE}\n`,
  "/etc/two": `\r\n  ${OTHER}\r\n${ONE}\r\n\r\n`,
  "/etc/read": THIRD,
  "/etc/empty": "\n \n",
  "/etc/short": `${ONE}\nshort\n`,
  "/etc/space": "a token with spaces in it\n",
  "/etc/odd": "0123456789abcdeé\n",
  "/etc/many": Array.from({ length: 17 }, () => ONE).join("\n"),
};

function read(settings: Parameters<typeof readAdminTokens>[0], env: Record<string, string> = {}) {
  const problems: string[] = [];
  const tokens = readAdminTokens(settings, {
    env,
    folder: "/etc",
    readFile: filesOf(FILES),
    report: (key, message) => problems.push(`${key}: ${message}`),
    reportVariable: (variable, message) => problems.push(`${variable}: ${message}`),
  });
  return { tokens, problems };
}

test.each<[Parameters<typeof read>, AdminTokens | undefined]>([
  [[{}], undefined],
  [[{ adminToken: ONE }], { admin: [ONE], read: [] }],
  [[{ adminTokenFile: "one", readTokenFile: "read" }], { admin: [ONE], read: [THIRD] }],
  // The commands send the first one.
  [[{ adminTokenFile: "two" }], { admin: [OTHER, ONE], read: [] }],
  [[{ adminTokenFile: "nothing" }, { ENTREPOT_ADMIN_TOKEN: THIRD }], { admin: [THIRD], read: [] }],
  // One who may only read has that token alone.
  [[{ readTokenFile: "read" }, { ENTREPOT_ADMIN_TOKEN: THIRD }], { admin: [THIRD], read: [THIRD] }],
  [[{ adminTokenFile: "one" }, { ENTREPOT_ADMIN_TOKEN: "" }], { admin: [ONE], read: [] }],
])("the tokens of %j are %j", (given, expected) => {
  expect(read(...given)).toEqual({ tokens: expected, problems: [] });
});

test.each<[Parameters<typeof read>, string[]]>([
  [[{ adminTokenFile: "nothing" }], ["adminTokenFile: /etc/nothing does not exist"]],
  [[{ adminTokenFile: "empty" }], ["adminTokenFile: /etc/empty contains no token"]],
  [
    [{ adminTokenFile: "short" }],
    ["adminTokenFile: /etc/short line 2: is shorter than 16 characters"],
  ],
  [
    [{ adminTokenFile: "space" }],
    ["adminTokenFile: /etc/space line 1: contains a space, or another character that is not ASCII"],
  ],
  [
    [{ adminTokenFile: "odd" }],
    ["adminTokenFile: /etc/odd line 1: contains a space, or another character that is not ASCII"],
  ],
  [[{ adminTokenFile: "many" }], ["adminTokenFile: /etc/many has more than 16 tokens"]],
  [
    [{ readTokenFile: "read" }],
    [
      "readTokenFile: needs an admin token beside it: set adminTokenFile too: without it, everything is allowed without a token",
    ],
  ],
  [
    [{ adminTokenFile: "two", readTokenFile: "one" }],
    ["readTokenFile: has a token that is an admin token as well: use another"],
  ],
  [
    [{}, { ENTREPOT_ADMIN_TOKEN: "short" }],
    ["ENTREPOT_ADMIN_TOKEN: is shorter than 16 characters"],
  ],
])("the problem with %j is %j", (given, expected) => {
  expect(read(...given).problems).toEqual(expected);
});
