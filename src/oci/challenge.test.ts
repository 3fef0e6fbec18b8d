import { expect, test } from "bun:test";
import { parseChallenge } from "./challenge.ts";

const realm = "https://auth.test/token";
test.each([
  [
    `Bearer realm="${realm}",service="registry.test",scope="repository:x:pull"`,
    { scheme: "bearer", realm, service: "registry.test" },
  ],
  [`bearer  service="a, b" , realm="${realm}"`, { scheme: "bearer", realm, service: "a, b" }],
  [`Basic realm="x", Bearer realm="${realm}"`, { scheme: "bearer", realm }],
  [`Bearer realm="${realm}", Basic realm="x"`, { scheme: "bearer", realm }],
  [`Bearer realm=${realm}`, { scheme: "bearer", realm }],
  [`Bearer realm="a\\"b"`, { scheme: "bearer", realm: 'a"b' }],
  ['Basic realm="Registry"', { scheme: "basic" }],
  ["Basic", { scheme: "basic" }],
  ["Bearer", undefined],
  ['Bearer service="x"', undefined],
  ["Negotiate", undefined],
  ["", undefined],
  [null, undefined],
] as [string | null, unknown][])("the challenge %p is parsed as %p", (header, challenge) => {
  expect(parseChallenge(header) as unknown).toEqual(challenge); // Compared with plain objects.
});

test("a 300 kB header is parsed without excessive backtracking", () => {
  expect(parseChallenge(`Bearer ${'a="'.repeat(100_000)}`)).toBeUndefined();
});
