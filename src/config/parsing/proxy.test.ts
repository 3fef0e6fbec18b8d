import { expect, test } from "bun:test";
import { parseProxy, proxyFor, proxyFromEnvironment } from "./proxy.ts";

const env = {
  HTTPS_PROXY: "http://me:pw@proxy.test:3128",
  no_proxy: "corp.test, .inner.test,10.0.0.0/8,192.0.2.7,a.test:5000",
};

test.each([
  ["https://ghcr.io/v2/", true],
  ["http://ghcr.io/v2/", false],
  ["https://corp.test/", false],
  ["https://x.corp.test/", false],
  ["https://notcorp.test/", true],
  ["https://b.inner.test/", false],
  ["https://10.1.2.3/", false],
  ["https://192.0.2.7:5000/", false],
  ["https://192.0.2.8/", true],
  ["https://a.test:5000/", false],
  ["https://a.test/", true],
  ["https://localhost:5000/", false],
  ["https://127.0.0.1/", false],
  ["https://[::1]/", false],
  ["https://[2001:db8::1]/", true],
])("%s uses the proxy: %p", (url, expected) => {
  const rule = proxyFromEnvironment(env, () => {});
  expect(proxyFor(rule, new URL(url)) !== undefined).toBe(expected);
});

test("NO_PROXY=* disables the proxy, and without variables there is no rule", () => {
  const rule = proxyFromEnvironment({ ...env, no_proxy: "*" }, () => {});
  expect(proxyFor(rule, new URL("https://ghcr.io/"))).toBeUndefined();
  expect(proxyFromEnvironment({}, () => {})).toBeUndefined();
});

test("an invalid variable is reported by its name, without its value", () => {
  const reports: string[] = [];
  proxyFromEnvironment({ http_proxy: "socks5://me:pw@p:1" }, (name, message) =>
    reports.push(`${name}: ${message}`),
  );
  expect(reports).toEqual([
    "http_proxy: its value has an unsupported scheme: only http and https proxies are supported",
  ]);
});

test.each(["ftp://p:1", "http://", "http://p:1/path"])(
  "%s is not a valid proxy address",
  (text) => {
    expect(typeof parseProxy(text)).toBe("string");
  },
);
