import { expect, test } from "bun:test";
import { load, refusal } from "./configtest/load-text.ts";

/** Refused files, and the whole message; `@` stands for the file's path. */
const refusedFiles: [what: string, yaml: string, message: string][] = [
  [
    "an unknown key",
    "listn: 5000\n",
    '@:1:1: unknown key "listn": did you mean "listen"? Allowed here: listen, admin, adminToken, adminTokenFile, tls, storage, upstreams',
  ],
  [
    "keys that are not built yet",
    "upstreams: { ghcr.io: { access: [] } }\n",
    `@:1:25: upstreams.ghcr.io: unknown key "access". Allowed here: url, port, tagTtl, auth, allowPrivate, trustedRealms, maxConnections, mirrors, proxy, ca, clientCertificate, clientKey, staleFor, allow, deny, bypass, immutableTags, maxSize, maxAge`,
  ],
  [
    "sizes that are none, or too small",
    `storage:
  maxSize: 10 apples
  minFree: -1
upstreams:
  a.test: { maxSize: 0, maxAge: 400d }
  b.test: { maxSize: 99999999TiB }
`,
    `@:2:12: storage.maxSize: "10 apples" is no size: write a number with a unit, such as 500MB, 10GiB or 1TiB
@:3:12: storage.minFree: "-1" is no size: write a number with a unit, such as 500MB, 10GiB or 1TiB
@:5:22: upstreams.a.test.maxSize: is less than 1 MiB, in which no image fits: write more, such as 10GiB, or leave it out
@:5:33: upstreams.a.test.maxAge: "400d" is longer than a year (365d)
@:6:22: upstreams.b.test.maxSize: "99999999TiB" is more than any disk has`,
  ],
  ["a short token", "adminToken: short\n", "@:1:13: adminToken: is shorter than 16 characters"],
  [
    "two tokens",
    "adminToken: 0123456789abcdef\nadminTokenFile: token\n",
    `@:2:17: adminTokenFile: stands beside adminToken: only one of them can be meant
@:2:17: adminTokenFile: /etc/token does not exist`,
  ],
  ["TLS without a key", "tls: { certificate: cert.pem }\n", "@:1:6: tls.key: is missing"],
  [
    "TLS with files that are not there",
    "tls:\n  certificate: cert.pem\n  key: /run/key.pem\n",
    `@:2:16: tls.certificate: /etc/cert.pem does not exist
@:3:8: tls.key: /run/key.pem does not exist`,
  ],
  [
    "wrong types and values, all at once",
    `listen: [5000]
admin: { host: x }
storage: /data
upstreams:
  a.test: { port: "5010", tagTtl: 30, maxConnections: 0, allowPrivate: yes }
  b.test: { port: 70000, tagTtl: 400d, trustedRealms: ["https://auth.test"] }
  c.test: 5
  d.test: { port: 1.5, auth: { username: a, password: 12345 } }
`,
    `@:1:9: listen: must be a text or a number, not a list
@:2:8: admin: must be a text or a number, not a mapping
@:3:10: storage: must be a mapping (key: value), not a text
@:5:19: upstreams.a.test.port: must be a number, not a text
@:5:35: upstreams.a.test.tagTtl: "30" is no duration: write a number with a unit, such as 30s, 5m, 1h or 7d
@:5:55: upstreams.a.test.maxConnections: 0 is too small: at least 1
@:5:72: upstreams.a.test.allowPrivate: must be true or false, not a text
@:6:19: upstreams.b.test.port: 70000 is too large: at most 65535
@:6:34: upstreams.b.test.tagTtl: "400d" is longer than a year (365d)
@:6:56: upstreams.b.test.trustedRealms[0]: is no host: write the host alone, such as auth.example.com, without scheme or path
@:7:11: upstreams.c.test: must be a mapping (key: value), not a number
@:8:19: upstreams.d.test.port: must be a whole number, not a fraction
@:8:55: upstreams.d.test.auth.password: must be a text, not a number: put it in quotes`,
  ],
  [
    "a list instead of a mapping",
    "- listen\n",
    "@:1:1: must be a mapping (key: value), not a list",
  ],
  ["a text", "listen:5000\n", "@:1:1: must be a mapping (key: value), not a text"],
  ["a tab", "storage:\n\tdir: /x\n", "@:2:1: a tab indents this line: YAML allows spaces only"],
  [
    "a key twice",
    "listen: 1\nadmin: 2\nlisten: 3\n",
    '@:3:1: the key "listen" stands in line 1 already',
  ],
  [
    "a list that stands too far left",
    "upstreams:\n  ghcr.io:\n    mirrors:\n   - https://m.test\n",
    "@:3:13: the indentation is off here: what belongs together begins in one column\n@:4:4: the indentation is off here: what belongs together begins in one column",
  ],
  [
    "two documents",
    "listen: 1\n---\nlisten: 2\n",
    "@:3:1: a second document begins here: one file holds one",
  ],
  ["an open quote", 'listen: "5000\n', '@:2:1: this is not valid YAML: Missing closing "quote'],
  [
    "an IPv6 address without quotes",
    "admin: 5001\nlisten: [::]:5000\n",
    '@:2:13: an address in brackets needs quotes: "[::]:5000"',
  ],
  ["an alias of nothing", "listen: *x\n", "@:1:9: *x has no anchor &x before it"],
  [
    "an unknown tag",
    "listen: !port 5000\n",
    "@:1:9: this is not valid YAML: Unresolved tag: !port",
  ],
  ["a key that is a list", "? [a]\n: 1\n", "@:1:3: a key has to be a plain word"],
  ["a key of JavaScript's own", "__proto__: {}\n", '@:1:1: "__proto__" cannot be a key'],
  [
    "deep nesting",
    `listen: ${"[".repeat(90)}${"]".repeat(90)}\n`,
    "@:1:70: it is nested too deeply",
  ],
  [
    "aliases that explode",
    ["a: &a [1,1,1,1,1,1,1,1,1]", "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]"]
      .concat(["c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]", "d: [*c,*c,*c,*c,*c,*c,*c,*c,*c]"])
      .join("\n"),
    "@: its aliases (*name) expand to too much: write the values out",
  ],
  [
    "no upstreams",
    "listen: 1\nupstreams:\n",
    "@:2:1: upstreams: is empty: name a registry, or leave the key out for the usual five",
  ],
  [
    "names that are none",
    'upstreams:\n  https://ghcr.io: {}\n  ghcr.io/org: {}\n  "a b": {}\n',
    `@:2:3: upstreams."https://ghcr.io": "https://ghcr.io" is no registry's name: write the host as image names carry it, such as ghcr.io or registry.test:5000
@:3:3: upstreams."ghcr.io/org": "ghcr.io/org" is no registry's name: write the host as image names carry it, such as ghcr.io or registry.test:5000
@:4:3: upstreams."a b": "a b" is no registry's name: write the host as image names carry it, such as ghcr.io or registry.test:5000`,
  ],
  [
    "an upstream under two names",
    "upstreams:\n  docker.io: {}\n  registry-1.docker.io: {}\n  quay.io: {}\n  Quay.io: {}\n",
    `@:3:3: upstreams.registry-1.docker.io: is the same upstream as "docker.io": write it once
@:5:3: upstreams.Quay.io: is the same upstream as "quay.io": write it once`,
  ],
  [
    "URLs that are none of a registry",
    `upstreams:
  a.test: { url: a.test }
  b.test: { url: "https://me:s3cret@b.test" }
  c.test: { url: "https://c.test/v2/" }
  d.test: { url: "https://d.test?x=1" }
  e.test: { url: "https://" }
  f.test: { url: "ftp://me:s3cret@f.test" }
`,
    `@:2:18: upstreams.a.test.url: "a.test" has no scheme: write https://host or http://host
@:3:18: upstreams.b.test.url: "https://…@b.test" holds credentials: put them under auth
@:4:18: upstreams.c.test.url: "https://c.test/v2/" ends in /v2, which is appended by itself: leave it out
@:5:18: upstreams.d.test.url: "https://d.test?x=1" has a query or a fragment, which a registry's address has not
@:6:18: upstreams.e.test.url: "https://" is no URL: write https://host[:port]
@:7:18: upstreams.f.test.url: "ftp://…@f.test" has no scheme: write https://host or http://host`,
  ],
  [
    "private addresses without leave",
    'upstreams:\n  a.test: { url: "http://10.0.0.7:5000" }\n  127.0.0.1:5000: {}\n  "[fe80::1]:80": {}\n',
    `@:2:18: upstreams.a.test.url: 10.0.0.7 is a private address, which is dialled only with allowPrivate: true
@:3:3: upstreams.127.0.0.1:5000: 127.0.0.1 is a private address, which is dialled only with allowPrivate: true
@:4:3: upstreams.[fe80::1]:80: [fe80::1] is a private address, which is dialled only with allowPrivate: true`,
  ],
  [
    "a name that makes no URL",
    "upstreams:\n  1.2.3.456: {}\n",
    '@:2:3: upstreams.1.2.3.456: "1.2.3.456" makes no URL: write the registry\'s under url',
  ],
  [
    "credentials that are not whole",
    `upstreams:
  a.test: { auth: {} }
  b.test: { auth: { username: me } }
  c.test: { auth: { username: "", password: "" } }
  d.test: { auth: { username: "a:b", password: c } }
  e.test: { auth: { username: a, password: b, passwordFile: c } }
  f.test: { auth: { username: a, passwd: b } }
`,
    `@:2:19: upstreams.a.test.auth: needs either username or usernameEnv, or secretDir or dockerConfig instead
@:3:19: upstreams.b.test.auth: needs either password, passwordFile or passwordEnv
@:4:31: upstreams.c.test.auth.username: must not be empty
@:4:45: upstreams.c.test.auth.password: must not be empty
@:5:31: upstreams.d.test.auth.username: must not contain a colon
@:6:19: upstreams.e.test.auth: needs either password, passwordFile or passwordEnv
@:7:19: upstreams.f.test.auth: needs either password, passwordFile or passwordEnv
@:7:34: upstreams.f.test.auth: unknown key "passwd": did you mean "password"? Allowed here: username, usernameEnv, password, passwordFile, passwordEnv, secretDir, dockerConfig`,
  ],
  [
    "password files that hold none",
    `upstreams:
  a.test: { auth: { username: me, passwordFile: missing } }
  b.test: { auth: { username: me, passwordFile: /etc/blank } }
`,
    `@:2:49: upstreams.a.test.auth.passwordFile: /etc/missing does not exist
@:3:49: upstreams.b.test.auth.passwordFile: /etc/blank is empty`,
  ],
  [
    "an admin address that others can reach",
    "admin: 0.0.0.0:5001\n",
    '@:1:8: admin: "0.0.0.0:5001" can be reached from other machines, so a token has to be shown there: set adminTokenFile, adminToken or ENTREPOT_ADMIN_TOKEN, or stay on loopback, such as 127.0.0.1:5001',
  ],
  [
    "addresses that are none",
    "listen: 99999\nadmin: http://127.0.0.1:5001\n",
    `@:1:9: listen: "99999" is no address: write host:port, such as 0.0.0.0:5000
@:2:8: admin: "http://127.0.0.1:5001" is no address: write host:port, such as 0.0.0.0:5000`,
  ],
  [
    "two users of one port",
    `listen: 5000
upstreams:
  a.test: { port: 5000 }
  b.test: { port: 5001 }
  c.test: { port: 5010 }
  d.test: { port: 5010 }
`,
    `@:3:19: upstreams.a.test.port: port 5000 is listen's already
@:4:19: upstreams.b.test.port: port 5001 is admin's already
@:6:19: upstreams.d.test.port: port 5010 is c.test's already`,
  ],
];

test.each(refusedFiles)("refused: %s", (_, yaml, message) => {
  expect(refusal(() => load(yaml))).toBe(message.replaceAll(/^@/gm, "/etc/e.yaml"));
});
