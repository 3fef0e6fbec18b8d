import { describe, expect, test } from "bun:test";
import { expectGolden } from "../../../test/harness/golden.ts";
import type { HostsToml } from "./hosts-toml.ts";
import { OWNERSHIP_MARK, cacheHost, renderHostsToml, serverAsHost } from "./hosts-toml.ts";

const comments = [OWNERSHIP_MARK];
const server = "https://ghcr.io";

const files: [name: string, file: HostsToml][] = [
  [
    "cache",
    { comments, server, root: {}, hosts: [cacheHost({ url: "http://cache.example:5000" })] },
  ],
  [
    "cache-with-ca",
    {
      comments,
      server,
      root: {},
      hosts: [
        cacheHost({
          url: "https://cache.example:5000",
          caFile: "/etc/containerd/entrepot-ca.pem",
          dialTimeout: "500ms",
        }),
      ],
    },
  ],
  [
    "default-directory",
    { comments, root: {}, hosts: [cacheHost({ url: "http://cache.example:5000" })] },
  ],
  [
    "server-only",
    {
      comments: [],
      server,
      root: { ca: ["/r.pem"] },
      hosts: [serverAsHost(server, { ca: ["/r.pem"] })],
    },
  ],
  [
    "every-field",
    {
      comments: [OWNERSHIP_MARK, "", "two mirrors"],
      server,
      root: {
        capabilities: ["pull"],
        ca: ["/r.pem", "/s.pem"],
        client: [["/c.pem", "/k.pem"]],
        headers: { "X-Root": ["one", 'two "quoted"'] },
      },
      hosts: [
        {
          url: "https://mirror.example/v2/proxy",
          capabilities: ["pull", "resolve"],
          ca: ["/m.pem"],
          client: [
            ["/c.pem", "/k.pem"],
            ["/both.pem", ""],
          ],
          skipVerify: false,
          overridePath: true,
          dialTimeout: "5s",
          headers: { "X-Key": ["a\\b"] },
        },
        { url: "http://mirror.example" },
      ],
    },
  ],
];

describe("renderHostsToml", () => {
  test.each(files)("renders %s as its golden file", (name, file) => {
    const text = renderHostsToml(file);
    expectGolden(`hosts-toml/${name}.toml`, text);
    expect(Object.keys(Bun.TOML.parse(text))).not.toEqual([]);
  });

  test("escapes every string", () => {
    const odd = 'a"b\\c\nd\u0001\u007f';
    const text = renderHostsToml({
      comments: [],
      server: odd,
      root: { ca: [odd] },
      hosts: [{ url: odd, ca: [odd], dialTimeout: odd, headers: { [odd]: [odd] } }],
    });
    expect(Bun.TOML.parse(text)).toEqual({
      server: odd,
      ca: [odd],
      host: { [odd]: { ca: [odd], dial_timeout: odd, header: { [odd]: [odd] } } },
    });
  });
});
