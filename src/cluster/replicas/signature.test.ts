import { expect, test } from "bun:test";
import { MAX_SKEW_MS, Signatures } from "./signature.ts";

const NOW = 1_800_000_000_000;
const REQUEST = {
  method: "GET",
  target: "/entrepot/v1/replica/ping?a=b",
  range: "bytes=5-",
  asker: "http://10.0.0.7:5002 abc",
};

const at = (time: number, secret = "a secret"): Signatures => new Signatures(secret, () => time);

test("a request is right with the same secret alone, and as it was signed", () => {
  const signed = at(NOW).sign(REQUEST);
  expect(at(NOW).verify(REQUEST, signed)).toEqual({ kind: "right", authorization: signed });
  expect(at(NOW, "another").verify(REQUEST, signed)).toEqual({ kind: "wrong" });
  for (const key of ["method", "target", "range", "asker"] as const) {
    expect(at(NOW).verify({ ...REQUEST, [key]: "other" }, signed)).toEqual({ kind: "wrong" });
  }
  expect(at(NOW).sign(REQUEST)).not.toBe(signed);
});

test("a part that moves into its neighbour is noticed", () => {
  const signed = at(NOW).sign({ ...REQUEST, range: "ab", asker: "c" });
  expect(at(NOW).verify({ ...REQUEST, range: "a", asker: "bc" }, signed).kind).toBe("wrong");
});

test.each([
  null,
  "",
  "Bearer abc",
  "Entrepot 1.2",
  "Entrepot 1.n.short",
  `Entrepot ${"9".repeat(400)}.n.${"a".repeat(43)}`,
  `Entrepot -5.n.${"a".repeat(43)}`,
])("%p is no signature", (authorization) => {
  expect(at(NOW).verify(REQUEST, authorization)).toEqual({ kind: "unsigned" });
});

test("clocks may be five minutes apart, and no more in either direction", () => {
  const signed = at(NOW).sign(REQUEST);
  for (const apart of [MAX_SKEW_MS, -MAX_SKEW_MS]) {
    expect(at(NOW + apart).verify(REQUEST, signed).kind).toBe("right");
  }
  for (const apart of [MAX_SKEW_MS + 1, -MAX_SKEW_MS - 1]) {
    const verdict = at(NOW + apart).verify(REQUEST, signed);
    expect(verdict).toEqual({ kind: "skewed", milliseconds: -apart, authorization: signed });
  }
});

test("an answer is proven for its request, its status and its headers alone", () => {
  const [signed, other] = [at(NOW).sign(REQUEST), at(NOW).sign(REQUEST)];
  const proof = at(NOW).prove(signed, [206, "bytes 0-1/2"]);
  expect(at(NOW).isProof(proof, signed, [206, "bytes 0-1/2"])).toBe(true);
  expect(at(NOW).isProof(proof, signed, [206, "bytes 0-1/3"])).toBe(false);
  expect(at(NOW).isProof(proof, other, [206, "bytes 0-1/2"])).toBe(false);
  expect(at(NOW, "another").isProof(proof, signed, [206, "bytes 0-1/2"])).toBe(false);
  expect(at(NOW).isProof(null, signed, [206, "bytes 0-1/2"])).toBe(false);
});
