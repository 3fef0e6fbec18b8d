import { expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import * as fc from "fast-check";
import { parse } from "yaml";
import { z } from "zod";
import { asOne, expectGolden } from "../../../test/harness/golden.ts";
import { run } from "../../../test/harness/processes.ts";
import { realTest } from "../../../test/harness/real-components.ts";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { type PortableConfig, readPortableConfig } from "../../config/portable-config.ts";
import type { RenderedFile } from "../target.ts";
import { render, TARGETS } from "../targets.ts";
import { yamlText } from "./yaml-text.ts";

const CONFIG = `# a comment, in which a password may be
listen: 0.0.0.0:6000
admin: 127.0.0.1:6001
adminTokenFile: secrets/token
storage: { dir: "/srv/my cache", maxSize: 200GiB }
upstreams:
  docker.io:
    port: 6010
    auth: { username: "yes", passwordFile: /etc/entrepot/hub }
    immutableTags: ["v*", "1.0", "release-?"]
  ghcr.io: { prefetch: off, auth: { usernameEnv: GH_USER, passwordEnv: GH_PASSWORD } }
  registry.internal:5000: { url: "http://10.0.0.7:5000", allowPrivate: true }
  quay.io:
`;

const read = (text: string): PortableConfig => readPortableConfig("entrepot.yaml", () => text);

function rendered(name: string, text: string, cache = "http://192.168.1.10:6000") {
  const target = TARGETS.find((one) => one.name === name) ?? expect.unreachable(name);
  const config = read(text);
  return render(target, { cache: new URL(cache), upstreams: config.upstreams, config });
}

test.each(["cloud-init", "proxmox", "systemd", "systemd-socket"])(
  "%s with a configuration renders the golden file",
  (name) => {
    expectGolden(`render/${name}-config.txt`, asOne(rendered(name, CONFIG)));
  },
);

/** What cloud-init's own schema allows, reduced to the modules that are used. */
const cloudConfig = z.strictObject({
  write_files: z.array(z.strictObject({ path: z.string().startsWith("/"), content: z.string() })),
  users: z.array(
    z.union([
      z.literal("default"),
      z.strictObject({ name: z.string(), system: z.boolean(), shell: z.string() }),
    ]),
  ),
  runcmd: z.array(z.array(z.string())),
});

/** The files that cloud-init, which reads YAML 1.1, writes on the cache's machine. */
function writtenFiles(files: readonly RenderedFile[]): ReadonlyMap<string, string> {
  const user = files.find(({ path }) => /cache-user-data|entrepot-user/.test(path));
  const read11 = cloudConfig.parse(parse(user?.text ?? "", { version: "1.1" }));
  return new Map(read11.write_files.map(({ path, content }) => [path, content]));
}

test.each(["cloud-init", "proxmox"])("%s writes the configuration as it is", (name) => {
  const files = writtenFiles(rendered(name, CONFIG));
  expect(parse(files.get("/etc/entrepot/entrepot.yaml") ?? "")).toEqual(parse(CONFIG));
  expect([...files.values()].join()).not.toContain("a comment");
});

const odd = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom(
      ...Array.from("\n\r\t\0\u0085\u2028\u2029\uFEFF'\":#{}[]|>-%&*!?,@` \\$~é😀x1"),
    ),
  }),
  fc.constantFrom("yes", "null", "~", "1e3", "0x10", "1:30", "2026-01-02", "", " ", "---", "<<"),
);

test("any text stays what it is, in YAML 1.2 and inside the YAML 1.1 of cloud-init", () => {
  const value = fc.dictionary(odd, fc.oneof(odd, fc.array(odd), fc.dictionary(odd, odd), fc.nat()));
  fc.assert(
    fc.property(value, (one) => {
      const text = yamlText(one);
      expect(text).toMatch(/^[\x20-\x7E\n]*$/);
      // YAML has no halves of surrogate pairs, and no key is the prototype of its mapping.
      const plain: unknown = JSON.parse(JSON.stringify(one).replaceAll("__proto__", "proto"));
      expect(parse(yamlText(plain))).toEqual(plain);
      const body = yamlText(plain).replaceAll(/^(?=.)/gm, "  ");
      expect(parse(`content: |\n${body}`, { version: "1.1" })).toEqual({
        content: yamlText(plain),
      });
    }),
  );
});

test.each([
  ["listen: 0.0.0.0:5000", "--cache names port 6000"],
  ["listen: 127.0.0.1:6000", "where no node reaches it"],
  ["listen: 6000\ntls: { certificate: c.pem, key: k.pem }", "use https://192.168.1.10:6000"],
  ["listen: 6000\nupstreams: { a.test: { port: 80 } }", "upstreams.a.test.port: port 80"],
  ["listen: 6000\nstorage: { dir: /home/me/data }", "storage.dir: the service does not see"],
  [
    'listen: 6000\nupstreams: { a.test: { auth: { username: me, passwordFile: "/etc/x\\u2028runcmd:" } } }',
    "has invisible characters",
  ],
])("a machine that no node could use is not rendered: %p", (text, message) => {
  expect(() => rendered("cloud-init", text)).toThrow(message);
});

test("a registry with an address of its own is rendered for its socket, and not for nodes", () => {
  const text = `listen: 0.0.0.0:6000
upstreams: { a.test: { listen: "127.0.0.1:6010" }, b.test: { listen: "[::]:6020" }, c.test: { port: 6030 } }`;
  const socket = rendered("systemd-socket", text)
    .map((file) => file.text)
    .join("");
  expect(socket.match(/^ListenStream=.*$/gm)).toEqual([
    "ListenStream=0.0.0.0:6000",
    "ListenStream=127.0.0.1:6010",
    "ListenStream=[::]:6020",
    "ListenStream=0.0.0.0:6030",
  ]);
  const [nodes] = rendered("cloud-init", text);
  expect(nodes?.text.match(/certs\.d\/[a-z.]+/g)).toEqual(["certs.d/c.test"]);
  const [kaniko] = rendered("kaniko", text);
  expect(kaniko?.text.match(/registry-map=[^"]+/g)).toEqual([
    "registry-map=b.test=192.168.1.10:6020",
    "registry-map=c.test=192.168.1.10:6030",
  ]);
});

test("a target that takes nothing of the configuration says so", () => {
  expect(() => rendered("compose", CONFIG)).toThrow("compose takes nothing from --config");
});

test("a reverse proxy with TLS may stand before the cache", () => {
  const files = rendered("cloud-init", "listen: 127.0.0.1:6000", "https://192.168.1.10");
  expect(writtenFiles(files).get("/etc/entrepot/entrepot.yaml")).toBe('listen: "127.0.0.1:6000"\n');
});

realTest("systemd reads the drop-in for a folder with an odd name as that folder", async () => {
  const name = '/srv/it\'s "50%" $(touch /x)\\n of;it';
  const files = rendered("systemd", `listen: 6000\nstorage: { dir: ${JSON.stringify(name)} }`);
  await using folder = await tempDir("drop-in");
  await mkdir(folder.file("entrepot.service.d"));
  for (const { path, text } of files) {
    const [, file] = /^\/etc\/systemd\/system\/(.+)$/.exec(path) ?? [];
    // The program is not installed here.
    if (file)
      await writeFile(folder.file(file), text.replaceAll("/usr/local/bin/entrepot", "/bin/true"));
  }
  const unit = folder.file("entrepot.service");
  const verified = await run(["systemd-analyze", "verify", "--man=no", unit]);
  expect(verified).toMatchObject({ code: 0, stderr: "" });
});
