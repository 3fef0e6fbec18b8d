import { expect, test } from "bun:test";
import { loadSettings } from "../load.ts";
import { accessMode } from "../access/access-settings.ts";
import { configErrorOf } from "../configtest/load-text.ts";

const CLIENTS = 'clients: { jwt: [{ name: ci, issuer: "https://ci.test", audience: cache }] }\n';

function load(yaml: string) {
  const readFile = (): string => yaml;
  return () => loadSettings({ flags: { config: "/etc/entrepot.yaml" }, env: {}, readFile });
}

test("access is a word for all repositories, or entries of which the first that matches decides", () => {
  const { upstreams } = load(`listen: 127.0.0.1:5000
${CLIENTS}upstreams:
  a.test: { access: upstream, accessTtl: 1m, accessStaleFor: 2h }
  b.test:
    access:
      - { repositories: [org/secret/**], access: denied }
      - { repositories: [org/**], access: upstream }
      - { access: clients }
  c.test: { access: open }
  d.test: { access: [{ repositories: [org/**], access: upstream }] }
`)();
  const settings = [...upstreams.values()];
  expect(settings.map(({ access }) => accessMode(access, "org/secret/app"))).toEqual([
    "upstream",
    "denied",
    "open",
    "upstream",
  ]);
  expect(settings.map(({ access }) => accessMode(access, "org/app"))).toEqual([
    "upstream",
    "upstream",
    "open",
    "upstream",
  ]);
  expect(settings.map(({ access }) => accessMode(access, "other/app"))).toEqual([
    "upstream",
    "clients",
    "open",
    "open",
  ]);
  const [first, second, third] = settings;
  expect(first?.access).toMatchObject({ ttl: 60_000, staleFor: 7_200_000 });
  expect(second?.access).toMatchObject({ ttl: 300_000, staleFor: 3_600_000 });
  expect(third?.access?.entries).toMatchObject([{ mode: "open" }]);
});

test("what makes no sense is refused, with its place and what to write", () => {
  const words = `listen: 127.0.0.1:5000
upstreams:
  a.test: { access: private }
  b.test: { access: upstream, auth: { username: me, password: x, useFor: all } }
  c.test: { access: [{ repositories: [x] }] }
`;
  expect(configErrorOf(load(words))).toMatchInlineSnapshot(`
    "/etc/entrepot.yaml:3:21: upstreams.a.test.access: is "private": write open, upstream, clients or denied
    /etc/entrepot.yaml:4:74: upstreams.b.test.auth.useFor: must be one of "public"
    /etc/entrepot.yaml:5:22: upstreams.c.test.access[0].access: is missing"
  `);
  const contradictions = `listen: 127.0.0.1:5000
upstreams:
  a.test: { access: [{ access: open }, { repositories: [x], access: denied }] }
  b.test: { access: upstream, auth: { username: me, password: x } }
  c.test: { accessTtl: 5m, auth: { username: me, password: x, useFor: public } }
  d.test: { access: [{ repositories: [], access: denied }] }
`;
  expect(configErrorOf(load(contradictions))).toMatchInlineSnapshot(`
    "/etc/entrepot.yaml:3:40: upstreams.a.test.access[1]: is never reached: entry 1 is about all repositories, so write it last
    /etc/entrepot.yaml:4:31: upstreams.b.test.auth: is used for nothing with access: upstream, where clients send their own credentials: add useFor: public, so that public content is pulled with it, or omit it
    /etc/entrepot.yaml:5:13: upstreams.c.test.accessTtl: is of use only with access: upstream: add that, or omit this
    /etc/entrepot.yaml:5:63: upstreams.c.test.auth.useFor: is of use only with access: upstream: add that, or omit this
    /etc/entrepot.yaml:6:38: upstreams.d.test.access[0].repositories: is empty, so that it matches nothing: add a pattern, or omit it for all"
  `);
});

test("clients send no credentials in plain text over a network, unless the owner says so", () => {
  const upstream = "upstreams:\n  a.test: { access: upstream }\n";
  expect(configErrorOf(load(upstream))).toMatchInlineSnapshot(
    `"/etc/entrepot.yaml:2:13: upstreams.a.test.access: has clients send their credentials, and at 0.0.0.0 they would cross the network in plain text: set tls, listen on a loopback address, or write plainCredentials: true if something else encrypts them"`,
  );
  expect(
    configErrorOf(
      load(`${CLIENTS}upstreams:\n  a.test: { access: clients, listen: 10.0.0.1:5010 }\n`),
    ),
  ).toMatchInlineSnapshot(
    `"/etc/entrepot.yaml:3:13: upstreams.a.test.access: has clients send their credentials, and at 10.0.0.1 they would cross the network in plain text: set tls, listen on a loopback address, or write plainCredentials: true if something else encrypts them"`,
  );
  for (const yaml of [
    `plainCredentials: true\n${upstream}`,
    `listen: localhost:5000\n${upstream}`,
    `${CLIENTS}upstreams:\n  a.test: { access: clients, listen: 127.0.0.1:5010 }\n`,
    "upstreams:\n  a.test: { access: denied }\n",
  ]) {
    expect(load(yaml)().upstreams.size).toBe(1);
  }
});
