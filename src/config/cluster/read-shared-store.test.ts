import { expect, test } from "bun:test";
import type { SharedStoreSettings } from "../cluster-settings.ts";
import { configErrorOf, filesOf } from "../configtest/load-text.ts";
import { loadSettings } from "../load.ts";

const KEYS = "accessKeyFile: a, secretKeyFile: s";

function store(
  keys: string,
  env: Readonly<Record<string, string>> = {},
  advertise = "http://10.0.0.7",
): SharedStoreSettings | undefined {
  const files = {
    "/etc/e.yaml": `cluster: { secretFile: shared, advertise: '${advertise}', store: { ${keys} } }`,
    "/etc/shared": "0123456789abcdef",
    "/etc/a": "AKIA\n",
    "/etc/s": "secret\n",
    "/run/token": "jwt",
    "/etc/empty": " \n",
  };
  const readFile = filesOf(files);
  return loadSettings({ flags: { config: "/etc/e.yaml" }, readFile, env }).cluster?.store;
}

test.each([
  ["https://s3.test/b", "", true, "us-east-1"],
  ["https://s3.test/b/some/prefix/", "", true, "us-east-1"],
  ["https://b.s3.test", ", pathStyle: false", false, "us-east-1"],
  ["https://s3.eu-central-1.amazonaws.com/b", "", true, "eu-central-1"],
  ["https://b.s3.us-gov-west-1.amazonaws.com/p", "", false, "us-gov-west-1"],
  ["https://b.c.s3.dualstack.cn-north-1.amazonaws.com.cn", "", false, "cn-north-1"],
  ["https://b.s3.amazonaws.com", "", false, "us-east-1"],
  ["https://s3.test/b", ", region: garage", true, "garage"],
])("%s is read with its addressing and region", (url, keys, isPathStyle, region) => {
  expect(store(`url: '${url}', ${KEYS}${keys}`)).toEqual({
    url: new URL(url),
    isPathStyle,
    region,
    keys: { kind: "files", accessKeyFile: "/etc/a", secretKeyFile: "/etc/s" },
  });
});

test("a service account's token is taken from the file, or from what Amazon EKS sets", () => {
  const url = "url: 'https://b.s3.eu-west-1.amazonaws.com'";
  const keys = {
    kind: "web-identity",
    tokenFile: "/run/token",
    roleArn: "arn:aws:iam::1:role/r",
    stsUrl: new URL("https://sts.eu-west-1.amazonaws.com"),
  };
  const env = { AWS_ROLE_ARN: keys.roleArn, AWS_WEB_IDENTITY_TOKEN_FILE: keys.tokenFile };
  expect(store(url, env)).toMatchObject({ keys });
  const written = `${url}, webIdentityTokenFile: /run/token, roleArn: 'arn:aws:iam::1:role/r'`;
  expect(store(written)).toMatchObject({ keys });
  const stsUrl = new URL("http://sts.test:9");
  expect(store(`${written}, stsUrl: 'http://sts.test:9'`)).toMatchObject({
    keys: { ...keys, stsUrl },
  });
  expect(store(`${url}, ${KEYS}`, env)).toMatchObject({ keys: { kind: "files" } });
});

test("large hits may be redirected, to a host that gets no credentials for the cache", () => {
  const redirect = "redirect: { from: 64MiB }";
  const settings = store(`url: 'https://s3.test/b', ${KEYS}, ${redirect}`);
  expect(settings?.redirect).toEqual({ from: 64 * 2 ** 20 });
  for (const [advertise, url] of [
    ["http://cache.test:5002", "https://cache.test:9000/b"],
    ["http://cache.test:5002", "https://s3.Cache.Test/b"],
    ["http://[fd00::1]:5002", "http://[fd00::1]:9000/b"],
  ]) {
    const keys = `url: '${url}', ${KEYS}, ${redirect}`;
    expect(configErrorOf(() => store(keys, {}, advertise))).toContain(
      "containerd would send it the credentials",
    );
  }
  expect(
    store(`url: 'https://mycache.test/b', ${KEYS}, ${redirect}`, {}, "http://cache.test"),
  ).toBeDefined();
});

test.each([
  [`url: 'https://s3.test/b', ${KEYS}, maxSize: 2TiB`, "maxSize: needs cluster.database"],
  [`url: 'https://s3.test/b', ${KEYS}, maxSize: 1KiB`, "less than 1 MiB"],
  [`url: 'https://s3.test/b', ${KEYS}, redirect: { from: 1KiB }`, "less than 1 MiB"],
  [`url: 's3://b', ${KEYS}`, "is not the URL of a bucket"],
  [`url: 'https://s3.test', ${KEYS}`, "https://s3.test names no bucket"],
  [`url: 'https://s3.test//', ${KEYS}`, "keys cannot have"],
  [`url: 'https://s3.test/b/a b', ${KEYS}`, "keys cannot have"],
  [`url: 'https://s3.test/b/a+b', ${KEYS}`, "keys cannot have"],
  [`url: 'https://s3.test/b?x=1', ${KEYS}`, "has a query"],
  [`url: 'https://me:hunter2@s3.test/b', ${KEYS}`, '"https://…@s3.test/b" contains credentials'],
  ["url: 'https://s3.test/b'", "has no credentials: set accessKeyFile and secretKeyFile"],
  ["url: 'https://s3.test/b', accessKeyFile: a", "needs both accessKeyFile and secretKeyFile"],
  ["url: 'https://s3.test/b', roleArn: 'arn:x'", "needs both webIdentityTokenFile and roleArn"],
  [`url: 'https://s3.test/b', ${KEYS}, roleArn: 'arn:x'`, "conflicts with accessKeyFile"],
  ["url: 'https://s3.test/b', accessKeyFile: x, secretKeyFile: s", "/etc/x does not exist"],
  ["url: 'https://s3.test/b', accessKeyFile: empty, secretKeyFile: s", "/etc/empty is empty"],
  [`url: 'https://s3.test/b', ${KEYS}, region: 'a b'`, "is not the name of a region"],
  [`url: 'https://s3.test/b', ${KEYS}, ca: a`, "ca"],
])("%p is refused", (keys, message) => {
  const error = configErrorOf(() => store(keys));
  expect(error).toContain(message);
  expect(error).not.toContain("hunter2");
});
