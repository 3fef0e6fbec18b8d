import { expect, test } from "bun:test";
import { receivesCredentials } from "./credential-trap.ts";

test.each([
  ["https://cache.test:9000", "cache.test", true],
  ["https://s3.cache.test", "cache.test", true],
  ["https://S3.CACHE.test.", "cache.TEST", true],
  ["http://10.0.0.7:9000", "10.0.0.7", true],
  ["http://[::1]:9000", "[::1]", true],
  ["http://[::1]:9000", "::1", true],
  ["https://mycache.test", "cache.test", false],
  ["https://cache.test", "s3.cache.test", false],
  ["https://s3.test", "0.0.0.0", false],
  ["https://s3.test", "", false],
])("%s gets the credentials for %p: %p", (url, host, isSent) => {
  expect(receivesCredentials(new URL(url), host)).toBe(isSent);
});
