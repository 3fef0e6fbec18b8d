import { expect, test } from "bun:test";
import { parseCacheUrl } from "./cache-url.ts";

test.each(["$(id)", "a'b", "a%3bid", "a&b"])("%j is no host of a cache", (host) => {
  expect(parseCacheUrl(`http://${host}:5000`)).toHaveProperty("problem");
});

test.each(["cache_1.example", "10.0.0.7", "[fd00::1]", "xn--bcher-kva.example"])(
  "%j is a host of a cache",
  (host) => {
    expect(parseCacheUrl(`http://${host}:5000`)).toEqual({ url: `http://${host}:5000` });
  },
);

test.each([
  ["http://fd00::1:30020", "http://[fd00::1]:30020"],
  ["https://fd00:0:0:0:0:0:0:1:5000/", "https://[fd00::1]:5000"],
])("the address of a node in %s needs no brackets before a port", (text, url) => {
  expect(parseCacheUrl(text)).toEqual({ url });
});

test.each(["http://fd00:0:0:0:0:0:0:1", "http://fd00::x:5000", "http://a:b:5000"])(
  "%s is no URL",
  (text) => {
    expect(parseCacheUrl(text)).toHaveProperty("problem");
  },
);
