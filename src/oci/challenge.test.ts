import { expect, test } from "bun:test";
import { parseChallenges } from "./challenge.ts";

const realm = "https://auth.test/token";
const bearer = { scheme: "bearer", realm };
const basic = { scheme: "basic" };
test.each([
  [
    `Bearer realm="${realm}",service="registry.test",scope="repository:x:pull"`,
    [{ ...bearer, service: "registry.test" }],
  ],
  [`bearer  service="a, b" , realm="${realm}"`, [{ ...bearer, service: "a, b" }]],
  [`Basic realm="x", Bearer realm="${realm}"`, [bearer, basic]],
  [`Bearer realm="${realm}", Basic realm="x"`, [bearer, basic]],
  [`Bearer realm="${realm}", Basic`, [bearer, basic]],
  [
    `Bearer realm="https://a.test", Bearer realm="${realm}"`,
    [{ ...bearer, realm: "https://a.test" }, bearer],
  ],
  [`Negotiate, Bearer realm="${realm}", Digest realm="x"`, [bearer]],
  [`Bearer error_description="use a new one, bearer x",realm="${realm}"`, [bearer]],
  [`Bearer realm="${realm}",error_description="or, basic realm"`, [bearer]],
  [`Bearer realm=${realm}`, [bearer]],
  [`Bearer realm="a\\"b"`, [{ ...bearer, realm: 'a"b' }]],
  ['Basic realm="Registry"', [basic]],
  ["Basic", [basic]],
  ["Bearer", []],
  ['Bearer service="x"', []],
  ["Negotiate", []],
  ["", []],
  [null, []],
] as [string | null, unknown][])("the challenges %p are parsed as %p", (header, challenges) => {
  expect(parseChallenges(header) as unknown).toEqual(challenges); // Compared with plain objects.
});

test("a 300 kB header is parsed without excessive backtracking", () => {
  expect(parseChallenges(`Bearer ${'a="'.repeat(100_000)}`)).toEqual([]);
});
