import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { parseUpstreamName } from "../../src/oci/names.ts";
import { defaultUrl } from "../../src/config/settings.ts";
import { apply } from "../../src/node/wiring/apply.ts";
import { ContainerdRuntime } from "../../src/node/containerd/runtime.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { NodeContext } from "../../src/node/node-context.ts";
import type { DesiredState } from "../../src/node/plan.ts";
import { rollback } from "../../src/node/wiring/rollback.ts";
import type { RenderInput } from "../../src/render/target.ts";
import { render, TARGETS } from "../../src/render/targets.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { tree } from "./tree.ts";

const PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const HTTP = { cache: "http://cache.test:5000" };
const HTTPS = { cache: "https://cache.test:5000", cacheCa: PEM };
const NAMES = ["docker.io", "ghcr.io", "registry.test:5000"];
const CONFIG = `version = 2

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
`;
const GHCR = "etc/containerd/certs.d/ghcr.io/hosts.toml";

type Files = Readonly<Record<string, string>>;

/** What `entrepot render` writes for a node, by the path at which it ends up there. */
const RENDERED: readonly (readonly [target: string, files: (input: RenderInput) => Files])[] = [
  ["containerd", (input) => filesOf("containerd", input)],
  ["nerdctl", (input) => filesOf("nerdctl", input)],
  [
    "eks-al2023",
    (input) => {
      const [userData = ""] = Object.values(filesOf("eks-al2023", input));
      const documents = userData.matchAll(/^cat > (\S+) <<'EOF'\n([^]*?\n)EOF$/gm);
      return Object.fromEntries([...documents].map(([, path = "", text = ""]) => [path, text]));
    },
  ],
  [
    "cloud-init",
    (input) => {
      const form = z.object({ write_files: z.array(z.record(z.string(), z.string())) });
      const userData = filesOf("cloud-init", input)["node-user-data.yaml"] ?? "";
      const written = form.parse(parse(userData)).write_files;
      return Object.fromEntries(written.map(({ path = "", content = "" }) => [path, content]));
    },
  ],
];

function filesOf(name: string, input: RenderInput): Files {
  const target = TARGETS.find((one) => one.name === name) ?? expect.unreachable(name);
  return Object.fromEntries(render(target, input).map(({ path, text }) => [path, text]));
}

function inputOf({ cache, cacheCa }: Pick<DesiredState, "cache" | "cacheCa">): RenderInput {
  const upstreams = NAMES.map((text) => {
    const name = parseUpstreamName(text) ?? expect.unreachable(text);
    return { name, server: defaultUrl(name) };
  });
  const address = { address: "192.168.1.10/24", gateway: "192.168.1.1" };
  return {
    cache: new URL(cache),
    upstreams,
    ...address,
    ...(cacheCa === undefined ? {} : { ca: cacheCa }),
  };
}

interface Node extends AsyncDisposable {
  readonly files: () => Record<string, string>;
  readonly apply: (desired: Partial<DesiredState>) => ReturnType<typeof apply>;
  readonly rollback: () => ReturnType<typeof rollback>;
  readonly journal: () => ReturnType<NodeContext["ownJournal"]>;
}

/** A node's files with config_path set; nothing runs there. */
async function nodeWith(files: Files): Promise<Node> {
  const dir = await tempDir("rendered-files");
  const root = dir.file("root");
  for (const [path, text] of Object.entries({ ...files, "/etc/containerd/config.toml": CONFIG })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const view = new NodeFiles(root);
  const runtime = new ContainerdRuntime({ files: view, version: "2.1.9", filesOnly: true });
  const stateDirectory = "/state";
  const context = new NodeContext({ files: view, runtime, stateDirectory, filesOnly: true });
  return {
    files: () =>
      Object.fromEntries(Object.entries(tree(root)).filter(([path]) => !path.startsWith("state"))),
    apply: (desired) =>
      apply({
        context,
        desired: {
          ...HTTP,
          namespaces: NAMES,
          useDefault: false,
          adopt: false,
          replace: false,
          dialTimeout: "1s",
          ...desired,
        },
        all: false,
        cache: undefined,
        shouldProbe: false,
        probeImages: [],
        waitMs: 0,
        confirm: () => Promise.resolve(true),
        report: () => {},
      }),
    rollback: () => rollback({ context, confirm: () => Promise.resolve(true), report: () => {} }),
    journal: () => context.ownJournal(),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

describe.each(RENDERED)("the files that `entrepot render %s` wrote", (_, filesFor) => {
  test.each([
    ["http", HTTP],
    ["https with its own CA", HTTPS],
  ])("need no change when applied with the same %s cache", async (_scheme, cache) => {
    await using node = await nodeWith(filesFor(inputOf(cache)));
    const before = node.files();
    const { plan } = await node.apply(cache);
    expect(plan.obstacles).toEqual([]);
    expect(plan.notes).toEqual([]);
    expect(plan.changes).toEqual([]);
    expect(node.files()).toEqual(before);
    expect((await node.apply(cache)).outcome).toBe("nothing-to-do");
  });

  test("are replaced when applied with another cache, and come back on rollback", async () => {
    await using fresh = await nodeWith({});
    const other = { cache: "http://other.test:5000" };
    await fresh.apply(other);
    await using node = await nodeWith(filesFor(inputOf(HTTP)));
    const before = node.files();
    expect((await node.apply(other)).outcome).toBe("applied");
    expect(node.files()).toEqual({ ...before, ...fresh.files() });
    await node.rollback();
    expect(node.files()).toEqual(before);
  });
});

describe("a rendered hosts.toml", () => {
  const rendered = filesOf("containerd", inputOf(HTTP));

  test("is replaced when another dial timeout is requested", async () => {
    await using node = await nodeWith(rendered);
    await node.apply({ dialTimeout: "3s" });
    const text = node.files()[GHCR];
    expect(text).toContain('dial_timeout = "3s"');
    expect(text?.match(/\[host\./g)).toHaveLength(1);
  });

  test("keeps a server that is not the registry's default, also without the cache", async () => {
    const files = { ...rendered };
    const server = (text = ""): string => text.replace("https://ghcr.io", "https://10.0.0.9:5000");
    files[`/${GHCR}`] = server(files[`/${GHCR}`]);
    await using node = await nodeWith(files);
    const { plan } = await node.apply({});
    expect(plan.changes).toEqual([]);
    const target = plan.targets.find(({ path }) => path === `/${GHCR}`);
    expect(new TextDecoder().decode(target?.withoutCache?.bytes)).toContain(
      '[host."https://10.0.0.9:5000"]\n',
    );
    await node.apply({ cache: "http://other.test:5000" });
    expect(node.files()[GHCR]).toContain('server = "https://10.0.0.9:5000"\n');
  });

  test("stays in the journal when unchanged, so that a watcher can take the cache out", async () => {
    await using node = await nodeWith(rendered);
    await node.apply({});
    const entry = node.journal()?.files[`/${GHCR}`] ?? expect.unreachable();
    expect(entry.original).toEqual(entry.wired);
    expect(entry.withoutCache).toBeNull();
    // A registry that is no longer wired must not be left to the watcher.
    await node.apply({ namespaces: ["docker.io"] });
    expect(Object.keys(node.journal()?.files ?? {})).toEqual([
      "/etc/containerd/certs.d/docker.io/hosts.toml",
    ]);
  });

  const edits: [edit: string, edited: (text: string) => string][] = [
    ["a second host was added", (text) => `${text}\n[host."http://mirror.test"]\n`],
    ["a header was added", (text) => `${text}  header = {x-a = ["b"]}\n`],
    ["skip_verify was set", (text) => `${text}  skip_verify = true\n`],
    ["a capability was removed", (text) => text.replace('"pull", "resolve"', '"pull"')],
    ["the ownership mark was removed", (text) => text.replace(/^.*\n/, "")],
  ];

  test.each(edits)("counts as a foreign file once %s", async (_, edited) => {
    await using node = await nodeWith({
      ...rendered,
      [`/${GHCR}`]: edited(rendered[`/${GHCR}`] ?? ""),
    });
    const { plan } = await node.apply({});
    expect(plan.obstacles.map(({ code, at }) => `${code} ${at?.file}`)).toEqual([
      `foreign-hosts-file /${GHCR}`,
    ]);
  });
});
