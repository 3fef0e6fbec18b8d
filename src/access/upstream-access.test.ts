import { expect, test } from "bun:test";
import { load } from "../config/configtest/load-text.ts";
import { accessWarnings, type UpstreamAccess, upstreamAccess } from "./upstream-access.ts";

const AUTH = "auth: { username: me, password: x }";
const USED_FOR_PUBLIC = "auth: { username: me, password: x, useFor: public }";
const ENTRY = "{ repositories: [org/**], access: upstream }";

test.each<[string, UpstreamAccess]>([
  ["{}", { mode: "open", entries: 0 }],
  [`{ ${AUTH} }`, { mode: "open", entries: 0, credentialsFor: "all" }],
  [`{ ${AUTH}, access: open }`, { mode: "open", entries: 1, credentialsFor: "all" }],
  ["{ access: upstream }", { mode: "upstream", entries: 1 }],
  [
    `{ ${USED_FOR_PUBLIC}, access: upstream }`,
    { mode: "upstream", entries: 1, credentialsFor: "public" },
  ],
  [`{ ${AUTH}, access: [${ENTRY}] }`, { mode: "mixed", entries: 1, credentialsFor: "others" }],
  [
    `{ ${USED_FOR_PUBLIC}, access: [${ENTRY}, { access: open }] }`,
    { mode: "mixed", entries: 2, credentialsFor: "others-and-public" },
  ],
  [`{ ${AUTH}, access: denied }`, { mode: "denied", entries: 1, credentialsFor: "nothing" }],
])("the access of an upstream with %s", (upstream, expected) => {
  const { upstreams } = load(`listen: 127.0.0.1:5000\nupstreams: { a.test: ${upstream} }`);
  const [settings] = upstreams.values();
  expect(settings && upstreamAccess(settings)).toEqual(expected);
});

const warningsOf = (yaml: string): string[] => accessWarnings(load(yaml));

test("private images that are open to the network are told, unless that is said to be meant", () => {
  expect(
    warningsOf(`upstreams:
  a.test: { ${AUTH} }
  b.test: { ${AUTH}, access: [{ repositories: [org/**], access: denied }] }
  c.test: { ${AUTH}, access: open }
  d.test: { ${AUTH}, access: [{ repositories: [org/**], access: denied }, { access: open }] }
  e.test: {}
  f.test: { ${AUTH}, listen: 127.0.0.1:6000 }
  g.test: { ${AUTH}, port: 7000 }
`),
  ).toMatchInlineSnapshot(`
    [
      "a.test: private images that its credentials can see are open to whoever reaches 0.0.0.0:5000. Set \`access: upstream\`, so that clients show their own credentials, or \`access: clients\`, or \`allow\` what everybody may have; \`access: open\` says that it is meant",
      "b.test: private images that its credentials can see, and no entry of its \`access\` names, are open to whoever reaches 0.0.0.0:5000. Set \`access: upstream\`, so that clients show their own credentials, or \`access: clients\`, or \`allow\` what everybody may have; \`access: open\` says that it is meant",
      "g.test: private images that its credentials can see are open to whoever reaches 0.0.0.0:7000. Set \`access: upstream\`, so that clients show their own credentials, or \`access: clients\`, or \`allow\` what everybody may have; \`access: open\` says that it is meant",
    ]
  `);
  expect(warningsOf(`listen: 127.0.0.1:5000\nupstreams: { a.test: { ${AUTH} } }`)).toEqual([]);
});

test("credentials of clients that cross the network in plain text are told", () => {
  const upstreams = "upstreams: { a.test: { access: upstream } }";
  expect(warningsOf(`plainCredentials: true\n${upstreams}`)).toMatchInlineSnapshot(`
    [
      "a.test: clients send their credentials to 0.0.0.0:5000 without TLS, by \`plainCredentials: true\`: whoever reads the network can use them, unless something else encrypts it. Set \`tls\`",
    ]
  `);
  expect(warningsOf(`plainCredentials: true\nlisten: 127.0.0.1:5000\n${upstreams}`)).toEqual([]);
});
