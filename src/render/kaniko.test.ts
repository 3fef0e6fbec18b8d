import { expect, test } from "bun:test";
import { parse } from "yaml";
import { z } from "zod";
import { kanikoFlags } from "../../test/harness/runtimes/kaniko-flags.ts";
import { readPortableConfig } from "../config/portable-config.ts";
import { kaniko } from "./kaniko.ts";
import { RenderError } from "./target.ts";
import { render } from "./targets.ts";

const UPSTREAMS = `
upstreams:
  docker.io:
  ghcr.io: { port: 5010 }
  quay.io:
  registry.internal:5000: { port: 5020, url: "http://10.0.0.7:5000", allowPrivate: true }
`;
const PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

function rendered(cache: string, yaml: string, ca?: string): { text: string; args: string[] } {
  const config = readPortableConfig("entrepot.yaml", () => yaml);
  const input = { cache: new URL(cache), upstreams: config.upstreams, config };
  const [file] = render(kaniko, ca === undefined ? input : { ...input, ca });
  const schema = z.strictObject({
    args: z.array(z.string()),
    volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })).optional(),
  });
  const text = file?.text ?? "";
  return { text, args: schema.parse(parse(text)).args };
}

test("each registry is asked for at its own port, and Docker Hub where nodes pull", () => {
  const { text, args } = rendered("http://cache.example:5000", UPSTREAMS);
  const flags = kanikoFlags(args);
  expect(flags.remap("alpine:3.19")).toEqual(["cache.example:5000/library/alpine:3.19"]);
  expect(flags.remap("docker.io/org/app:1")).toEqual(["cache.example:5000/org/app:1"]);
  expect(flags.remap("ghcr.io/org/app:1")).toEqual(["cache.example:5010/org/app:1"]);
  expect(flags.remap("registry.internal:5000/a/b:1")).toEqual(["cache.example:5020/a/b:1"]);
  expect(flags.remap("quay.io/org/app:1")).toEqual([]);
  expect(text).toContain("# quay.io is left out: it has no port of its own for nodes.\n");
  for (const port of [5000, 5010, 5020]) {
    expect(flags.isInsecure(`cache.example:${port}`)).toBe(true);
  }
});

test("a path instead of a port would send kaniko to the registry itself", () => {
  const flags = kanikoFlags(["--registry-map=ghcr.io=cache.example:5000/ghcr.io"]);
  expect(flags.remap("ghcr.io/org/app:1")).toEqual(["ghcr.io/org/app:1"]);
});

test("with TLS, each port is given the CA; a proxy's TLS does not cover the ports", () => {
  const tls = `tls: { certificate: c.pem, key: k.pem }\n${UPSTREAMS}`;
  const own = rendered("https://cache.example:5000", tls, PEM).args;
  expect(own).toContain("--registry-certificate=cache.example:5010=/kaniko/entrepot-ca.crt");
  expect(own.filter((arg) => arg.startsWith("--insecure"))).toEqual([]);
  const proxied = rendered("https://cache.example", UPSTREAMS, PEM).args;
  expect(proxied).toContain("--registry-map=index.docker.io=cache.example");
  expect(proxied).toContain("--registry-certificate=cache.example=/kaniko/entrepot-ca.crt");
  expect(proxied).toContain("--insecure-registry=cache.example:5010");
});

test("IPv6, and an own port of Docker Hub", () => {
  const { args } = rendered("http://[fd00::1]:5000", "upstreams: { docker.io: { port: 5030 } }");
  expect(kanikoFlags(args).remap("alpine:1")).toEqual(["[fd00::1]:5030/library/alpine:1"]);
});

test("Docker Hub that is served at loopback alone is left out", () => {
  const alone = 'upstreams: { docker.io: { listen: "127.0.0.1:5030" }, ghcr.io: { port: 5010 } }';
  const { args } = rendered("http://cache.example:5000", alone);
  expect(kanikoFlags(args).remap("alpine:1")).toEqual([]);
});

test("where no registry can be reached, it says what to configure", () => {
  const upstreams = "upstreams: { ghcr.io: {}, quay.io: {} }";
  expect(() => rendered("http://cache.example:5000", upstreams)).toThrow(RenderError);
  expect(() => rendered("http://cache.example:5000", upstreams)).toThrow("set port");
});
