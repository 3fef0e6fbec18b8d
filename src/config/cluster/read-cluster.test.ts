import { expect, test } from "bun:test";
import { configErrorOf, filesOf, load } from "../configtest/load-text.ts";
import { loadSettings } from "../load.ts";
import type { ClusterSettings } from "../cluster-settings.ts";

const SECRET = "0123456789abcdef";

function cluster(keys: string, secret = SECRET): ClusterSettings | undefined {
  const files = {
    "/etc/e.yaml": `cluster: { secretFile: shared${keys} }`,
    "/etc/shared": `${secret}\n`,
  };
  return loadSettings({ flags: { config: "/etc/e.yaml" }, readFile: filesOf(files) }).cluster;
}

test("without the key, a cache works alone", () => {
  expect(load("")).not.toHaveProperty("cluster");
});

test("a secret is enough", () => {
  expect(cluster("")).toEqual({
    listen: { host: "0.0.0.0", port: 5002 },
    secret: SECRET,
    members: [],
  });
});

test("a member is listed once, however its address is written", () => {
  const settings = cluster(
    ", listen: ':6002', advertise: 'http://10.0.0.7:6002', members: ['http://10.0.0.7:6002', 'HTTP://10.0.0.7:6002/', 'http://b.test', 'http://b.test:80']",
  );
  expect(settings?.listen).toEqual({ host: "0.0.0.0", port: 6002 });
  expect(settings?.advertise?.origin).toBe("http://10.0.0.7:6002");
  expect(settings?.members.map(({ origin }) => origin)).toEqual([
    "http://10.0.0.7:6002",
    "http://b.test",
  ]);
});

test("a member may have an IPv6 address", () => {
  const settings = cluster(", members: ['http://[fd00::2]:5002']");
  expect(settings?.members.map(({ origin }) => origin)).toEqual(["http://[fd00::2]:5002"]);
});

test.each([
  ["members: ['10.0.0.7:5002']", "is not the address of a replica"],
  ["members: ['http://me:secret@a.test']", '"http://…@a.test" is not the address'],
  ["members: ['http://a.test/path']", "is not the address of a replica"],
  ["members: ['http://a.test?x']", "is not the address of a replica"],
  ["members: ['http://a$(id)']", "is not the address of a replica"],
  ["members: ['http://a.test:0']", "is not the address of a replica"],
  ["members: ['http://[::1:5002']", "is not the address of a replica"],
  ['members: ["http://a\\nb.test"]', '"http://a\\nb.test" is not the address of a replica'],
  ["advertise: http://0.0.0.0:5002", "is none at which another one reaches it"],
  ["members: ['http://[::]:5002']", "is none at which another one reaches it"],
  ["advertise: ''", '"" is not the address of a replica'],
  ["advertise: 'https://a.test:5002'", "cluster.tls is not set"],
  ["listen: 5001", "port 5001 is already used"],
  ["listen: nowhere", "is not a valid address"],
])("%p is refused", (key, message) => {
  expect(configErrorOf(() => cluster(`, ${key}`))).toContain(message);
});

test.each([
  ["short", "fewer than 16 characters: make one with `openssl rand -hex 32`"],
  ["", "fewer than 16 characters"],
])("the secret %p is refused", (secret, message) => {
  expect(configErrorOf(() => cluster("", secret))).toContain(message);
});

test("a secret that is not there is told with its key", () => {
  expect(configErrorOf(() => load("cluster: { secretFile: nowhere }"))).toContain(
    "cluster.secretFile: /etc/nowhere",
  );
});
