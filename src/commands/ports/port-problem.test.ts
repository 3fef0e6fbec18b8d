import { expect, test } from "bun:test";
import { portProblem } from "./port-problem.ts";

/** An error as Bun throws it. */
function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: listen`), { code });
}

const cases: [setting: string, host: string, port: number, code: string, expected: RegExp][] = [
  [
    "listen",
    "0.0.0.0",
    443,
    "EACCES",
    /^listen 0\.0\.0\.0:443 cannot be opened: ports below 1024 need CAP_NET_BIND_SERVICE\. .* or choose another port: (?:npm start -- )?--listen 0\.0\.0\.0:5443$/,
  ],
  [
    "admin",
    "::1",
    80,
    "EACCES",
    /^admin \[::1\]:80 cannot be opened: .* choose another port: (?:npm start -- )?--admin \[::1\]:5080$/,
  ],
  [
    "the port of ghcr.io",
    "0.0.0.0",
    1,
    "EADDRINUSE",
    /^the port of ghcr\.io 0\.0\.0\.0:1 cannot be opened: another program listens there \(.*\)\. Stop it, or give the upstream another `port` or `listen` in the configuration$/,
  ],
  [
    "cluster.listen",
    "127.0.0.1",
    1,
    "EADDRINUSE",
    /Stop it, or give cluster\.listen another port in the configuration, such as \d+, and name it in cluster\.members of the other replicas$/,
  ],
  [
    "listen",
    "192.0.2.1",
    5000,
    "EADDRNOTAVAIL",
    /: this machine does not have that address\. It has .*127\.0\.0\.1.*; 0\.0\.0\.0 stands for all$/,
  ],
  // What Bun says of a name that cannot be resolved depends on what happened before.
  ["listen", "nosuch.example", 5000, "ENOENT", /: nosuch\.example is not a name of this machine, /],
  ["listen", "nosuch.example", 5000, "ENOTCONN", /: nosuch\.example is not a name of this machine/],
  ["listen", "fe80::1", 5000, "EINVAL", /^listen \[fe80::1\]:5000 .* a link-local address is one /],
  ["listen", "10.0.0.1", 5000, "EMFILE", /: EMFILE: listen$/],
];

test.each(cases)("%s at %s:%d, %s", (setting, host, port, code, expected) => {
  expect(portProblem(setting, { host, port }, systemError(code))).toMatch(expected);
});
