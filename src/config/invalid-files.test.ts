import { expect, test } from "bun:test";
import { load, configErrorOf } from "./configtest/load-text.ts";

/** Invalid files and the complete messages. `@` stands for the file's path. */
const invalidFiles: [what: string, yaml: string, message: string][] = [
  [
    "an unknown key",
    "listn: 5000\n",
    '@:1:1: unknown key "listn": did you mean "listen"? Allowed keys: listen, admin, adminToken, adminTokenFile, readTokenFile, adminTls, tls, plainCredentials, clients, workers, storage, maxRate, tracing, cluster, warm, readiness, kubernetes, policies, events, audit, upstreams',
  ],
  [
    "an unknown key without a similar one",
    "upstreams: { ghcr.io: { vault: [] } }\n",
    `@:1:25: upstreams.ghcr.io: unknown key "vault". Allowed keys: url, port, listen, pathPrefix, tagTtl, auth, allowPrivate, trustedRealms, maxConnections, maxRate, mirrors, proxy, ca, clientCertificate, clientKey, revokedAfter, staleFor, access, accessTtl, accessStaleFor, allow, deny, bypass, immutableTags, prefetch, maxSize, maxAge, adopt`,
  ],
  [
    "invalid sizes and sizes out of range",
    `storage:
  maxSize: 10 apples
  minFree: -1
upstreams:
  a.test: { maxSize: 0, maxAge: 400d }
  b.test: { maxSize: 99999999TiB }
`,
    `@:2:12: storage.maxSize: "10 apples" is not a valid size: write a number with a unit, such as 500MB, 10GiB or 1TiB
@:3:12: storage.minFree: "-1" is not a valid size: write a number with a unit, such as 500MB, 10GiB or 1TiB
@:5:22: upstreams.a.test.maxSize: is less than 1 MiB, which is too small for any image: write more, such as 10GiB, or omit it
@:5:33: upstreams.a.test.maxAge: "400d" is longer than a year (365d)
@:6:22: upstreams.b.test.maxSize: "99999999TiB" is larger than any disk`,
  ],
  [
    "data to adopt that is in no folder or volume",
    `upstreams:
  a.test: { adopt: { folder: srv/x } }
  b.test: { adopt: { volume: "a\\nb", subpath: ../x } }
  c.test: { adopt: { folder: /x, volume: y } }
  d.test: { adopt: {} }
`,
    `@:2:30: upstreams.a.test.adopt.folder: must be an absolute path
@:3:30: upstreams.b.test.adopt.volume: must be the name of a volume of Docker or Podman
@:3:47: upstreams.b.test.adopt.subpath: must be a path inside the volume
@:4:20: upstreams.c.test.adopt: must have either folder, or volume with or without subpath
@:5:20: upstreams.d.test.adopt: must have either folder, or volume with or without subpath`,
  ],
  ["a short token", "adminToken: short\n", "@:1:13: adminToken: is shorter than 16 characters"],
  [
    "a long token, which is not shown",
    `adminToken: ${"s".repeat(4097)}\n`,
    "@:1:13: adminToken: is longer than 4096 characters",
  ],
  [
    "two tokens",
    "adminToken: 0123456789abcdef\nadminTokenFile: token\n",
    `@:2:17: adminTokenFile: conflicts with adminToken: set only one of them
@:2:17: adminTokenFile: /etc/token does not exist`,
  ],
  ["TLS without a key", "tls: { certificate: cert.pem }\n", "@:1:6: tls.key: is missing"],
  [
    "TLS files that do not exist",
    "tls:\n  certificate: cert.pem\n  key: /run/key.pem\n",
    `@:2:16: tls.certificate: /etc/cert.pem does not exist
@:3:8: tls.key: /run/key.pem does not exist`,
  ],
  [
    "several wrong types and values",
    `listen: [5000]
admin: { host: x }
storage: /data
upstreams:
  a.test: { port: "5010", tagTtl: 30, maxConnections: 0, allowPrivate: yes }
  b.test: { port: 70000, tagTtl: 400d, trustedRealms: ["https://auth.test"] }
  c.test: 5
  d.test: { port: 1.5, auth: { username: a, password: 12345 } }
`,
    `@:1:9: listen: must be a string or a number, not a list
@:2:8: admin: must be a string or a number, not a mapping
@:3:10: storage: must be a mapping (key: value), not a string
@:5:19: upstreams.a.test.port: must be a number, not a string
@:5:35: upstreams.a.test.tagTtl: "30" is not a valid duration: write a number with a unit, such as 30s, 5m, 1h or 7d
@:5:55: upstreams.a.test.maxConnections: 0 is too small: the minimum is 1
@:5:72: upstreams.a.test.allowPrivate: must be true or false, not a string
@:6:19: upstreams.b.test.port: 70000 is too large: the maximum is 65535
@:6:34: upstreams.b.test.tagTtl: "400d" is longer than a year (365d)
@:6:56: upstreams.b.test.trustedRealms[0]: is not a valid host: write only the host, such as auth.example.com, without scheme or path
@:7:11: upstreams.c.test: must be a mapping (key: value), not a number
@:8:19: upstreams.d.test.port: must be an integer, not a fraction
@:8:55: upstreams.d.test.auth.password: must be a string, not a number: put it in quotes`,
  ],
  [
    "a list instead of a mapping",
    "- listen\n",
    "@:1:1: must be a mapping (key: value), not a list",
  ],
  [
    "a string instead of a mapping",
    "listen:5000\n",
    "@:1:1: must be a mapping (key: value), not a string",
  ],
  [
    "a tab as indentation",
    "storage:\n\tdir: /x\n",
    "@:2:1: a tab indents this line: YAML allows spaces only",
  ],
  [
    "a duplicate key",
    "listen: 1\nadmin: 2\nlisten: 3\n",
    '@:3:1: the key "listen" is already in line 1',
  ],
  [
    "a list with too little indentation",
    "upstreams:\n  ghcr.io:\n    mirrors:\n   - https://m.test\n",
    "@:3:13: the indentation is wrong: the entries of a mapping or list must start in the same column\n@:4:4: the indentation is wrong: the entries of a mapping or list must start in the same column",
  ],
  [
    "two documents",
    "listen: 1\n---\nlisten: 2\n",
    "@:3:1: a second document begins here: a file may have only one",
  ],
  [
    "a quote that is not closed",
    'listen: "5000\n',
    '@:2:1: this is not valid YAML: Missing closing "quote',
  ],
  [
    "an IPv6 address without quotes",
    "admin: 5001\nlisten: [::]:5000\n",
    '@:2:13: an address in brackets needs quotes: "[::]:5000"',
  ],
  ["an alias without an anchor", "listen: *x\n", "@:1:9: *x has no anchor &x before it"],
  [
    "an unknown tag",
    "listen: !port 5000\n",
    "@:1:9: this is not valid YAML: Unresolved tag: !port",
  ],
  ["a key that is a list", "? [a]\n: 1\n", "@:1:3: a key must be a plain word"],
  ["the key __proto__", "__proto__: {}\n", '@:1:1: "__proto__" cannot be a key'],
  [
    "deep nesting",
    `listen: ${"[".repeat(90)}${"]".repeat(90)}\n`,
    "@:1:70: the nesting is too deep",
  ],
  [
    "aliases that expand exponentially",
    ["a: &a [1,1,1,1,1,1,1,1,1]", "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]"]
      .concat(["c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]", "d: [*c,*c,*c,*c,*c,*c,*c,*c,*c]"])
      .join("\n"),
    "@: its aliases (*name) expand to too many values: write the values out",
  ],
  [
    "no upstreams",
    "listen: 1\nupstreams:\n",
    "@:2:1: upstreams: is empty: add a registry, or omit the key to cache the five default registries",
  ],
  [
    "invalid registry names",
    'upstreams:\n  https://ghcr.io: {}\n  ghcr.io/org: {}\n  "a b": {}\n',
    `@:2:3: upstreams."https://ghcr.io": "https://ghcr.io" is not a valid registry name: write the host as in image names, such as ghcr.io or registry.test:5000
@:3:3: upstreams."ghcr.io/org": "ghcr.io/org" is not a valid registry name: write the host as in image names, such as ghcr.io or registry.test:5000
@:4:3: upstreams."a b": "a b" is not a valid registry name: write the host as in image names, such as ghcr.io or registry.test:5000`,
  ],
  [
    "an upstream under two names",
    "upstreams:\n  docker.io: {}\n  registry-1.docker.io: {}\n  quay.io: {}\n  Quay.io: {}\n",
    `@:3:3: upstreams.registry-1.docker.io: is the same upstream as "docker.io": define it once
@:5:3: upstreams.Quay.io: is the same upstream as "quay.io": define it once`,
  ],
  [
    "invalid registry URLs",
    `upstreams:
  a.test: { url: a.test }
  b.test: { url: "https://me:s3cret@b.test" }
  c.test: { url: "https://c.test/v2/" }
  d.test: { url: "https://d.test?x=1" }
  e.test: { url: "https://" }
  f.test: { url: "ftp://me:s3cret@f.test" }
  g.test: { url: "https://g.test/a/%2e%2E/b", mirrors: ["https://m.test/..", { url: "https://m.test/a../b" }] }
  h.test: { mirrors: [{ url: m.test }, { url: "https://m.test", resolved: true }] }
`,
    `@:2:18: upstreams.a.test.url: "a.test" has no scheme: write https://host or http://host
@:3:18: upstreams.b.test.url: "https://…@b.test" contains credentials: put them under auth
@:4:18: upstreams.c.test.url: "https://c.test/v2/" ends in /v2, which is added automatically: omit it
@:5:18: upstreams.d.test.url: "https://d.test?x=1" has a query or fragment, which a registry URL must not have
@:6:18: upstreams.e.test.url: "https://" is not a valid URL: write https://host[:port]
@:7:18: upstreams.f.test.url: "ftp://…@f.test" has no scheme: write https://host or http://host
@:8:18: upstreams.g.test.url: "https://g.test/a/%2e%2E/b" has .. in its path: write the path that is meant
@:8:57: upstreams.g.test.mirrors[0]: "https://m.test/.." has .. in its path: write the path that is meant
@:9:30: upstreams.h.test.mirrors[0].url: "m.test" has no scheme: write https://host or http://host
@:9:65: upstreams.h.test.mirrors[1]: unknown key "resolved": did you mean "resolve"? Allowed keys: url, allowPrivate, overridePath, resolve, ca`,
  ],
  [
    "private addresses without allowPrivate",
    'upstreams:\n  a.test: { url: "http://10.0.0.7:5000" }\n  127.0.0.1:5000: {}\n  "[fe80::1]:80": {}\n',
    `@:2:18: upstreams.a.test.url: 10.0.0.7 is a private address, which needs allowPrivate: true
@:3:3: upstreams.127.0.0.1:5000: 127.0.0.1 is a private address, which needs allowPrivate: true
@:4:3: upstreams.[fe80::1]:80: [fe80::1] is a private address, which needs allowPrivate: true`,
  ],
  [
    "a registry name that cannot be part of a URL",
    "upstreams:\n  1.2.3.456: {}\n",
    '@:2:3: upstreams.1.2.3.456: "1.2.3.456" cannot be part of a URL: set url to the registry\'s URL',
  ],
  [
    "incomplete or conflicting credentials",
    `upstreams:
  a.test: { auth: {} }
  b.test: { auth: { username: me } }
  c.test: { auth: { username: "", password: "" } }
  d.test: { auth: { username: "a:b", password: c } }
  e.test: { auth: { username: a, password: b, passwordFile: c } }
  f.test: { auth: { username: a, passwd: b } }
`,
    `@:2:19: upstreams.a.test.auth: must have either username or usernameEnv, or secretDir, dockerConfig, helper, aws, google or azure instead
@:3:19: upstreams.b.test.auth: must have exactly one of password, passwordFile or passwordEnv
@:4:31: upstreams.c.test.auth.username: must not be empty
@:4:45: upstreams.c.test.auth.password: must not be empty
@:5:31: upstreams.d.test.auth.username: must not contain a colon
@:6:19: upstreams.e.test.auth: must have exactly one of password, passwordFile or passwordEnv
@:7:19: upstreams.f.test.auth: must have exactly one of password, passwordFile or passwordEnv
@:7:34: upstreams.f.test.auth: unknown key "passwd": did you mean "password"? Allowed keys: username, usernameEnv, password, passwordFile, passwordEnv, secretDir, dockerConfig, helper, aws, google, azure, useFor`,
  ],
  [
    "missing and empty password files",
    `upstreams:
  a.test: { auth: { username: me, passwordFile: missing } }
  b.test: { auth: { username: me, passwordFile: /etc/blank } }
`,
    `@:2:49: upstreams.a.test.auth.passwordFile: /etc/missing does not exist
@:3:49: upstreams.b.test.auth.passwordFile: /etc/blank is empty`,
  ],
  [
    "an admin address without a token that other machines can reach",
    "admin: 0.0.0.0:5001\n",
    '@:1:8: admin: "0.0.0.0:5001" is reachable from other machines, which requires a token: set adminTokenFile, adminToken or ENTREPOT_ADMIN_TOKEN, or use a loopback address, such as 127.0.0.1:5001',
  ],
  [
    "invalid addresses",
    "listen: 99999\nadmin: http://127.0.0.1:5001\n",
    `@:1:9: listen: "99999" is not a valid address: write host:port, such as 0.0.0.0:5000
@:2:8: admin: "http://127.0.0.1:5001" is not a valid address: write host:port, such as 0.0.0.0:5000`,
  ],
  [
    "ports that are used twice",
    `listen: 5000
upstreams:
  a.test: { port: 5000 }
  b.test: { port: 5001 }
  c.test: { port: 5010 }
  d.test: { port: 5010 }
`,
    `@:3:19: upstreams.a.test.port: port 5000 is already used by listen
@:4:19: upstreams.b.test.port: port 5001 is already used by admin at 127.0.0.1:5001
@:6:19: upstreams.d.test.port: port 5010 is already used by c.test`,
  ],
  [
    "addresses that are used twice",
    `listen: 10.0.0.5:5000
upstreams:
  a.test: { listen: "0.0.0.0:5000" }
  b.test: { listen: "127.0.0.1:5001" }
  c.test: { listen: "127.0.0.1:5010" }
  d.test: { listen: "127.0.0.1:5010" }
  e.test: { listen: "[::]:5010" }
  f.test: { listen: "[::1]:5020" }
`,
    `@:3:21: upstreams.a.test.listen: port 5000 is already used by listen at 10.0.0.5:5000
@:4:21: upstreams.b.test.listen: port 5001 is already used by admin
@:6:21: upstreams.d.test.listen: port 5010 is already used by c.test
@:7:21: upstreams.e.test.listen: port 5010 is already used by c.test at 127.0.0.1:5010`,
  ],
  [
    "invalid addresses of upstreams",
    `upstreams:
  a.test: { listen: 5010 }
  b.test: { listen: ":5010" }
  c.test: { listen: "http://127.0.0.1:5010" }
  d.test: { listen: [127.0.0.1:5010] }
`,
    `@:2:21: upstreams.a.test.listen: "5010" has no host: write host:port, such as 127.0.0.1:5010, or set port for the host of listen
@:3:21: upstreams.b.test.listen: ":5010" has no host: write host:port, such as 127.0.0.1:5010, or set port for the host of listen
@:4:21: upstreams.c.test.listen: "http://127.0.0.1:5010" is not a valid address: write host:port, such as 0.0.0.0:5000
@:5:21: upstreams.d.test.listen: must be a string or a number, not a list`,
  ],
  [
    "an upstream with two addresses of its own",
    "upstreams:\n  a.test: { listen: 127.0.0.1:5010, port: 5011 }\n",
    "@:2:37: upstreams.a.test.port: excludes listen, which has a port of its own: omit one of them",
  ],
];

test.each(invalidFiles)("a file with %s is rejected", (_, yaml, message) => {
  expect(configErrorOf(() => load(yaml))).toBe(message.replaceAll(/^@/gm, "/etc/e.yaml"));
});
