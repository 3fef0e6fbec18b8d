import { expect, test } from "bun:test";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { readYamlDocuments } from "../config/foreign/yaml-documents.ts";
import { readManifest } from "../config/gardener/manifest.ts";
import { YamlSource } from "../config/parsing/yaml-source.ts";
import { readText } from "../config/parsing/read-text.ts";
import { defaultUrl } from "../config/settings.ts";
import { parseUpstreamName } from "../oci/names.ts";
import type { RenderedFile } from "./target.ts";
import { render, TARGETS } from "./targets.ts";

/** The schemas in each product's documentation, reduced to the parts that are rendered. */
const url = z.string().regex(/^https?:\/\/[^/]+$/);
const host = z.string().regex(/^[^/]+$/);
const toml = (text: string): unknown => Bun.TOML.parse(text);
const yaml = (text: string): unknown[] =>
  parseAllDocuments(text).map((document): unknown => document.toJS());

const kindNode = z.strictObject({
  role: z.enum(["control-plane", "worker"]),
  extraMounts: z.array(
    z.strictObject({ hostPath: z.string(), containerPath: z.string(), readOnly: z.boolean() }),
  ),
});

const cases: [target: string, file: RegExp, read: (text: string) => unknown, schema: z.ZodType][] =
  [
    [
      "k3s",
      /registries\.yaml$/,
      (text) => yaml(text)[0],
      z.strictObject({
        mirrors: z.record(host, z.strictObject({ endpoint: z.array(url).min(1) })),
      }),
    ],
    [
      "talos",
      /patch\.yaml$/,
      (text) => yaml(text)[0],
      z.strictObject({
        machine: z.strictObject({
          registries: z.strictObject({
            mirrors: z.record(host, z.strictObject({ endpoints: z.array(url).min(1) })),
          }),
        }),
      }),
    ],
    [
      "talos-documents",
      /mirrors\.yaml$/,
      yaml,
      z.array(
        z.strictObject({
          apiVersion: z.literal("v1alpha1"),
          kind: z.literal("RegistryMirrorConfig"),
          name: host,
          endpoints: z.array(z.strictObject({ url })).min(1),
        }),
      ),
    ],
    [
      "kind",
      /kind\.yaml$/,
      (text) => yaml(text)[0],
      z.strictObject({
        kind: z.literal("Cluster"),
        apiVersion: z.literal("kind.x-k8s.io/v1alpha4"),
        nodes: z.array(kindNode),
      }),
    ],
    [
      "docker",
      /daemon\.json$/,
      (text) => JSON.parse(text),
      z.strictObject({
        "registry-mirrors": z.array(url).length(1),
        "insecure-registries": z.array(host),
      }),
    ],
    [
      "buildkit",
      /buildkitd\.toml$/,
      toml,
      z.strictObject({
        registry: z.record(
          host,
          z.union([
            z.strictObject({ mirrors: z.array(host) }),
            z.strictObject({ http: z.boolean() }),
          ]),
        ),
      }),
    ],
    [
      "bottlerocket",
      /user-data\.toml$/,
      toml,
      z.strictObject({
        settings: z.strictObject({
          "container-registry": z.strictObject({
            mirrors: z.array(z.strictObject({ registry: host, endpoint: z.array(url) })),
          }),
        }),
      }),
    ],
    [
      "compose",
      /compose\.yaml$/,
      (text) => yaml(text)[0],
      z.strictObject({
        services: z.record(
          z.string(),
          z.strictObject({
            image: z.string(),
            pull_policy: z.literal("never"),
            restart: z.literal("unless-stopped"),
            command: z.array(z.string()),
            environment: z.record(z.string(), z.string()),
            user: z.string(),
            read_only: z.boolean(),
            cap_drop: z.array(z.string()),
            security_opt: z.array(z.string()),
            ports: z.array(z.string()),
            volumes: z.array(
              z.strictObject({
                type: z.enum(["bind", "volume"]),
                source: z.string(),
                target: z.string(),
                read_only: z.boolean().optional(),
                bind: z.strictObject({ create_host_path: z.boolean() }).optional(),
              }),
            ),
            ulimits: z.strictObject({ nofile: z.number() }),
            stop_grace_period: z.string(),
            healthcheck: z.strictObject({
              test: z.array(z.string()),
              interval: z.string(),
              timeout: z.string(),
              retries: z.number(),
            }),
          }),
        ),
        volumes: z.record(z.string(), z.null()),
      }),
    ],
  ];

function rendered(name: string): readonly RenderedFile[] {
  const target = TARGETS.find((one) => one.name === name) ?? expect.unreachable(name);
  const upstreams = ["docker.io", "registry.test:5000"].flatMap((text) => {
    const upstream = parseUpstreamName(text);
    return upstream ? [{ name: upstream, server: defaultUrl(upstream) }] : [];
  });
  return render(target, { cache: new URL("http://192.168.1.10:5000"), upstreams });
}

test.each(cases)("%s matches its product's documented schema", (name, file, read, schema) => {
  const match = rendered(name).find(({ path }) => file.test(path));
  expect(schema.safeParse(read(match?.text ?? "")).error?.issues ?? []).toEqual([]);
});

test("the MirrorConfig passes Gardener's validation rules", () => {
  const [file] = rendered("gardener");
  const head = "apiVersion: core.gardener.cloud/v1beta1\nkind: Shoot\n";
  const source = new YamlSource("shoot.yaml", head + (file?.text ?? ""));
  const imported = readManifest({ source, secrets: [] }, { folder: undefined, readFile: readText });
  expect(imported.problems).toEqual([]);
  expect(imported.value["upstreams"]).toMatchObject({ "docker.io": {}, "registry.test:5000": {} });
});

test("the MirrorConfig references the CA in the rendered Secret", () => {
  const ca = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  const target = TARGETS.find(({ name }) => name === "gardener") ?? expect.unreachable();
  const name = parseUpstreamName("quay.io") ?? expect.unreachable();
  const files = render(target, {
    cache: new URL("https://cache.example"),
    upstreams: [{ name, server: "https://quay.io" }],
    ca,
  });
  const head = "apiVersion: core.gardener.cloud/v1beta1\nkind: Shoot\n";
  const text = head + files.map((file) => file.text).join("---\n");
  const secrets = { folder: undefined, readFile: readText };
  const imported = readManifest(readYamlDocuments("shoot.yaml", text), secrets);
  expect(imported.problems).toEqual([]);
  expect(imported.value["upstreams"]).toEqual({
    "quay.io": { mirrors: [{ url: "https://cache.example", ca }] },
  });
});
