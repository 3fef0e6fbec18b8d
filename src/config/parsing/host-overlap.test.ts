import { expect, test } from "bun:test";
import { parseAddress } from "./address.ts";
import { doOverlap } from "./host-overlap.ts";

test.each([
  ["127.0.0.1:5010", "127.0.0.1:5010", true],
  ["127.0.0.1:5010", "127.0.0.1:5011", false],
  ["127.0.0.1:5010", "127.0.0.2:5010", false],
  ["127.0.0.1:5010", "10.0.0.5:5010", false],
  ["0.0.0.0:5010", "127.0.0.1:5010", true],
  ["0.0.0.0:5010", "cache.lan:5010", true],
  ["0.0.0.0:5010", "[::1]:5010", false],
  // The wildcard of IPv6 takes the port of IPv4 as well.
  ["[::]:5010", "127.0.0.1:5010", true],
  ["[::]:5010", "0.0.0.0:5010", true],
  ["[::]:5010", "[::1]:5010", true],
  ["[::1]:5010", "[0:0:0:0:0:0:0:1]:5010", true],
  ["[::ffff:127.0.0.1]:5010", "127.0.0.1:5010", true],
  ["localhost:5010", "127.0.0.1:5010", true],
  ["cache.lan:5010", "cache.lan:5010", true],
  ["0.0.0.0:0", "0.0.0.0:0", false],
])("%s and %s overlap: %p", (one, other, expected) => {
  const [a, b] = [parseAddress(one, ""), parseAddress(other, "")];
  if (!a || !b) throw new Error("not an address");
  expect([doOverlap(a, b), doOverlap(b, a)]).toEqual([expected, expected]);
});
