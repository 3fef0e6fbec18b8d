import { expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { type TempDir, tempDir } from "../harness/temp-dir.ts";
import { mustRun } from "../harness/processes.ts";
import { realTest } from "../harness/real-components.ts";
import { Attributes, canBeImmutable } from "./file-attributes.ts";
import { entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

setDefaultTimeout(60_000);

const CONFIG = "etc/containerd/config.toml";
const HOSTS = "etc/containerd/certs.d/ghcr.io/hosts.toml";
const cri = `plugins."io.containerd.grpc.v1.cri"`;
const configured = `version = 2\n[${cri}.registry]\n  config_path = "/etc/containerd/certs.d"\n`;

async function node(files: Record<string, string | Uint8Array>): Promise<TempDir> {
  const dir = await tempDir("odd");
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(dir.file(path)), { recursive: true });
    writeFileSync(dir.file(path), bytes);
  }
  return dir;
}

const rootOptions = (dir: TempDir): string[] => [
  "--root",
  dir.path,
  "--containerd-version",
  "1.7.24",
];
const DESIRED = ["--cache", "http://cache:5000", "--upstream", "ghcr.io"];
const wire = (dir: TempDir, ...more: string[]) =>
  entrepotNode(["apply", ...DESIRED, ...rootOptions(dir), ...more]);
const back = (dir: TempDir) => entrepotNode(["rollback", ...rootOptions(dir)]);
const text = (dir: TempDir, path: string): string => readFileSync(dir.file(path), "utf8");

realTest("apply and rollback keep modes, owners and extended attributes", async () => {
  await using dir = await node({
    [CONFIG]: "version = 2\n",
    [HOSTS]: `[host."http://m:1"]\n`,
  });
  const attributes = new Attributes();
  for (const [path, mode, owner] of [
    [CONFIG, 0o640, 1234],
    [HOSTS, 0o604, 4321],
  ] as const) {
    chmodSync(dir.file(path), mode);
    chownSync(dir.file(path), owner, owner + 1);
    attributes.set(dir.file(path), "user.label", `label of ${path}`);
  }
  const attributesOf = () =>
    [CONFIG, HOSTS].map((path) => {
      const { mode, uid, gid } = statSync(dir.file(path));
      return [mode & 0o7777, uid, gid, attributes.get(dir.file(path), "user.label")];
    });
  const before = { attributes: attributesOf(), tree: tree(dir.file("etc")) };
  expect(attributesOf()).toEqual([
    [0o640, 1234, 1235, `label of ${CONFIG}`],
    [0o604, 4321, 4322, `label of ${HOSTS}`],
  ]);
  expect(await wire(dir, "--adopt")).toMatchObject({ code: 0 });
  expect(attributesOf()).toEqual(before.attributes);
  expect(text(dir, HOSTS)).toContain("cache:5000");
  expect(await back(dir)).toMatchObject({ code: 0 });
  expect({ attributes: attributesOf(), tree: tree(dir.file("etc")) }).toEqual(before);
});

test("symbolic links to config.toml and certs.d are kept, and their targets are changed", async () => {
  await using dir = await node({
    "srv/containerd/real.toml": configured,
    "srv/certs/quay.io/hosts.toml": `[host."http://m:1"]\n`,
  });
  mkdirSync(dir.file("etc/containerd"), { recursive: true });
  // An absolute link of the node must be resolved inside the root.
  symlinkSync("/srv/containerd/real.toml", dir.file(CONFIG));
  symlinkSync("../../srv/certs", dir.file("etc/containerd/certs.d"));
  const before = tree(dir.file("srv"));
  expect(await wire(dir)).toMatchObject({ code: 0 });
  expect(text(dir, "srv/certs/ghcr.io/hosts.toml")).toContain("cache:5000");
  expect(lstatSync(dir.file(CONFIG)).isSymbolicLink()).toBe(true);
  expect(readlinkSync(dir.file("etc/containerd/certs.d"))).toBe("../../srv/certs");
  expect(await back(dir)).toMatchObject({ code: 0 });
  expect(tree(dir.file("srv"))).toEqual(before);
  expect(lstatSync(dir.file("etc/containerd/certs.d")).isSymbolicLink()).toBe(true);
});

test("registries that share a hosts.toml through a symbolic link are rejected, because it names one server", async () => {
  const foreign = `[host."http://m:1"]\n`;
  for (const [link, options] of [
    ["quay.io", []],
    ["quay.io", ["--upstream", "quay.io"]],
    ["_default", []],
    ["localhost_5000_", []],
  ] as const) {
    await using dir = await node({
      [CONFIG]: configured,
      [HOSTS]: foreign,
    });
    symlinkSync("ghcr.io", dir.file(`etc/containerd/certs.d/${link}`));
    const refused = await wire(dir, "--adopt", ...options);
    expect(refused).toMatchObject({
      code: 1,
      text: expect.stringContaining("is the same file, through a link"),
    });
    expect([text(dir, CONFIG), text(dir, HOSTS)]).toEqual([configured, foreign]);
    // A link that belongs to no registry does not matter, nor does one that loops.
    rmSync(dir.file(`etc/containerd/certs.d/${link}`));
    symlinkSync("ghcr.io", dir.file("etc/containerd/certs.d/latest"));
    mkdirSync(dir.file("etc/containerd/certs.d/loop.test"));
    symlinkSync("hosts.toml", dir.file("etc/containerd/certs.d/loop.test/hosts.toml"));
    expect(await wire(dir, "--adopt")).toMatchObject({ code: 0 });
  }
});

test("hard links are told of, and their other names keep the content", async () => {
  await using dir = await node({ [CONFIG]: "version = 2\n" });
  linkSync(dir.file(CONFIG), dir.file("backup.toml"));
  const told = "/etc/containerd/config.toml has another name (hard links)";
  const plan = await entrepotNode(["plan", ...DESIRED, ...rootOptions(dir)]);
  expect(plan.text).toContain(told);
  expect((await wire(dir)).text).toContain(told);
  expect(text(dir, "backup.toml")).toBe("version = 2\n");
  expect(text(dir, CONFIG)).toContain("config_path");
});

test("CRLF, tabs and mixed line endings of config.toml are kept", async () => {
  const odd = `version = 2\r\n\t[ ${cri} ]\t# mine\r\n\t\tsandbox_image\t=\t'p'\n\t[${cri}.registry.mirrors."ghcr.io"]\r\n\t\tendpoint = [\r\n\t\t\t"http://m:1", # one\n\t\t]\r\n\r\n\t[${cri}.cni] # last`;
  await using dir = await node({ [CONFIG]: odd });
  expect(await wire(dir)).toMatchObject({ code: 0 });
  const after = text(dir, CONFIG);
  // The mirror's lines are removed and one table is added. All other lines are unchanged.
  const unchanged = odd.replace(/\t\[[^\n]*mirrors[\s\S]*?\t\t\]\r\n/, "");
  let from = 0;
  for (const line of unchanged.split(/(?<=\n)/)) {
    const at = after.indexOf(line, from);
    expect({ line, found: at >= 0 }).toEqual({ line, found: true });
    from = at + line.length;
  }
  expect(await back(dir)).toMatchObject({ code: 0 });
  expect(text(dir, CONFIG)).toBe(odd);
});

realTest("an apply on a full disk changes nothing, and succeeds once there is space", async () => {
  await using dir = await node({ "var/lib/.keep": "" });
  mkdirSync(dir.file("etc"));
  await mustRun(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir.file("etc")]);
  try {
    mkdirSync(dir.file("etc/containerd"));
    writeFileSync(dir.file(CONFIG), configured.replace("config_path", "# config_path"));
    // Space for the directories and the first hosts.toml, but not for a new config.toml.
    for (const name of ["fill-1", "fill-2"]) {
      await mustRun(["sh", "-c", `head -c 1000000 /dev/zero > ${dir.file("etc", name)} || true`]);
      if (name === "fill-1") writeFileSync(dir.file("etc/fill-1"), new Uint8Array(40_000));
    }
    const before = tree(dir.file("etc"));
    const full = await wire(dir);
    expect(full).toMatchObject({
      code: 1,
      text: expect.stringContaining("no space left on device"),
    });
    expect(tree(dir.file("etc"))).toEqual(before);
    await mustRun(["rm", dir.file("etc/fill-2")]);
    expect(await wire(dir)).toMatchObject({ code: 0 });
  } finally {
    await mustRun(["umount", dir.file("etc")]);
  }
});

realTest(
  "an apply changes nothing when the journal cannot be written to a full file system",
  async () => {
    await using dir = await node({ [CONFIG]: configured });
    const state = dir.file("var/lib/entrepot/node");
    mkdirSync(state, { recursive: true });
    await mustRun(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", state]);
    try {
      await mustRun(["sh", "-c", `head -c 1000000 /dev/zero > ${state}/fill || true`]);
      const before = tree(dir.file("etc"));
      const full = await wire(dir);
      expect(full).toMatchObject({
        code: 1,
        text: expect.stringContaining("no space left on device"),
      });
      expect(tree(dir.file("etc"))).toEqual(before);
      await mustRun(["rm", `${state}/fill`]);
      expect(await wire(dir)).toMatchObject({ code: 0 });
      expect(await back(dir)).toMatchObject({ code: 0 });
      expect(tree(dir.file("etc"))).toEqual(before);
    } finally {
      await mustRun(["umount", state]);
    }
  },
);

test("directories in certs.d that name no registry are left alone and cause no error", async () => {
  const odd = [
    "a b",
    "ümlaut.test",
    "-x",
    "reg.test:5000",
    "[::1]_5000_",
    "%41",
    "x'y",
    'q"',
    "ghcr",
  ];
  const files = Object.fromEntries(
    odd.map((name) => [`etc/containerd/certs.d/${name}/hosts.toml`, `[host."http://m:1"]\n`]),
  );
  await using dir = await node({
    [CONFIG]: configured,
    "etc/containerd/certs.d/file": "not a directory",
    // Spegel moves what it finds in certs.d there.
    "etc/containerd/certs.d/_backup/ghcr.io/hosts.toml": "[broken",
    "etc/containerd/certs.d/%zz/hosts.toml": "[broken",
    "etc/containerd/certs.d/latin.test/hosts.toml": new Uint8Array([35, 233, 10]),
    ...files,
  });
  symlinkSync("nowhere", dir.file("etc/containerd/certs.d/dangling"));
  symlinkSync("loop", dir.file("etc/containerd/certs.d/loop"));
  const check = await entrepotNode(["check", ...rootOptions(dir)]);
  expect(check.text).toContain("mirrors         hosts directories");
  expect(check.text).toContain("no image reference names a registry ghcr");
  const kept = await entrepotNode([
    "check",
    "--json",
    "--runtime",
    "containerd",
    ...rootOptions(dir),
  ]);
  const { findings } = JSON.parse(kept.text) as {
    findings: { severity: string; at?: { file: string } }[];
  };
  const errors = findings.filter(({ severity }) => severity === "error");
  expect(errors.map(({ at }) => at?.file)).toEqual([
    "/etc/containerd/certs.d/latin.test/hosts.toml",
  ]);
  // Where Spegel runs, it would move what is written here.
  expect((await wire(dir)).text).toContain("Spegel writes");
  rmSync(dir.file("etc/containerd/certs.d/_backup"), { recursive: true });
  expect(await wire(dir)).toMatchObject({ code: 0 });
  for (const name of odd)
    expect(text(dir, `etc/containerd/certs.d/${name}/hosts.toml`)).toBe(`[host."http://m:1"]\n`);
  expect(await back(dir)).toMatchObject({ code: 0 });
});

realTest(
  "a config.toml that is a mount point is reported as such, and nothing is changed",
  async () => {
    await using dir = await node({ [CONFIG]: "version = 2\n" });
    await mustRun(["mount", "--bind", dir.file(CONFIG), dir.file(CONFIG)]);
    try {
      const before = tree(dir.file("etc"));
      const refused = await wire(dir);
      expect(refused).toMatchObject({
        code: 1,
        text: expect.stringContaining("it is a mount point"),
      });
      expect(tree(dir.file("etc"))).toEqual(before);
    } finally {
      await mustRun(["umount", dir.file(CONFIG)]);
    }
  },
);

test.skipIf(!canBeImmutable())(
  "an immutable config.toml is reported as such, and nothing is changed",
  async () => {
    await using dir = await node({ [CONFIG]: "version = 2\n" });
    const before = tree(dir.file("etc"));
    await mustRun(["chattr", "+i", dir.file(CONFIG)]);
    try {
      const refused = await wire(dir);
      expect(refused).toMatchObject({
        code: 1,
        text: expect.stringContaining("config.toml: not permitted even for root: is it immutable"),
      });
      expect(tree(dir.file("etc"))).toEqual(before);
    } finally {
      await mustRun(["chattr", "-i", dir.file(CONFIG)]);
    }
    expect(await wire(dir)).toMatchObject({ code: 0 });
  },
);
