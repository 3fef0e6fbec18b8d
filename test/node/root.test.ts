import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type TempDir, tempDir } from "../harness/places.ts";
import { entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

// Each is a handful of runs of the whole program, on a machine that may be busy.
setDefaultTimeout(60_000);

const cri = `plugins."io.containerd.grpc.v1.cri"`;
const config = `version = 2
[${cri}.registry.mirrors."ghcr.io"]
  endpoint = ["http://10.0.0.1:5010"]
[${cri}.registry.configs."own.test".auth]
  username = "u"
  password = "never shown"
`;
const status = "Package: containerd\nStatus: install ok installed\nVersion: 1.7.24~ds1-6\n\n";

async function image(): Promise<TempDir> {
  const dir = await tempDir("root");
  for (const [path, text] of Object.entries({
    "etc/containerd/config.toml": config,
    "var/lib/dpkg/status": status,
  })) {
    mkdirSync(dirname(dir.file(path)), { recursive: true });
    writeFileSync(dir.file(path), text);
  }
  return dir;
}

test("the files of an image are wired and put back, and nothing else is done, which is said", async () => {
  await using dir = await image();
  const before = tree(dir.file("etc"));
  const root = ["--root", dir.path];
  const wish = ["--cache", "http://cache:5000", "--upstream", "ghcr.io", ...root];

  const check = await entrepotNode(["check", ...root]);
  expect(check.code).toBe(1);
  expect(check.text).toContain("1.7.24~ds1-6 (/var/lib/dpkg/status)");
  expect(check.text).toContain("/etc/containerd/config.toml:3: mirrors");
  expect(check.text).toContain("nothing was asked whether it runs");

  const plan = await entrepotNode(["plan", ...wish]);
  expect(plan.code).toBe(0);
  expect(plan.text).toContain("only files are touched");
  expect(plan.text).toContain("--- /etc/containerd/config.toml");
  expect(plan.text).not.toContain("never shown");
  expect(tree(dir.file("etc"))).toEqual(before);

  const apply = await entrepotNode(["apply", ...wish]);
  expect(apply).toMatchObject({ code: 0, text: expect.stringContaining("nothing was restarted") });
  expect(readFileSync(dir.file("etc/containerd/config.toml"), "utf8")).toContain(
    'config_path = "/etc/containerd/certs.d"',
  );
  expect(readFileSync(dir.file("etc/containerd/certs.d/ghcr.io/hosts.toml"), "utf8")).toContain(
    '[host."http://10.0.0.1:5010"]',
  );
  const json = await entrepotNode(["check", "--json", ...root]);
  expect(JSON.parse(json.text)).toMatchObject({
    wired: { cache: "http://cache:5000", namespaces: ["ghcr.io"] },
  });

  const back = await entrepotNode(["rollback", ...root]);
  expect(back).toMatchObject({ code: 0, text: expect.stringContaining("nothing was restarted") });
  expect(tree(dir.file("etc"))).toEqual(before);
});

test("what needs a running containerd refuses another root", async () => {
  await using dir = await image();
  expect(await entrepotNode(["verify", "--root", dir.path])).toMatchObject({ code: 2 });
  expect(await entrepotNode(["watch", "--root", dir.path])).toMatchObject({ code: 2 });
  expect(await entrepotNode(["check", "--root", dir.file("none")])).toMatchObject({ code: 2 });
});

test("naming fewer registries takes the others back; a file that was edited since stays converted", async () => {
  await using dir = await image();
  const wire = (...names: string[]) =>
    entrepotNode([
      "apply",
      "--cache",
      "http://cache:5000",
      "--root",
      dir.path,
      "--upstream",
      ...names,
    ]);
  const certs = dir.file("etc/containerd/certs.d");
  await wire("ghcr.io", "quay.io");
  expect(Object.keys(tree(certs))).toEqual([
    "ghcr.io/",
    "ghcr.io/hosts.toml",
    "quay.io/",
    "quay.io/hosts.toml",
  ]);
  await wire("quay.io");
  // ghcr.io keeps what its mirror in config.toml was converted to.
  expect(tree(certs)["ghcr.io/hosts.toml"]).not.toContain("cache:5000");
  expect(tree(certs)["ghcr.io/hosts.toml"]).toContain("10.0.0.1:5010");

  const edited = `# by hand\n${readFileSync(dir.file("etc/containerd/config.toml"), "utf8")}`;
  writeFileSync(dir.file("etc/containerd/config.toml"), edited);
  await wire("docker.io");
  expect(Object.keys(tree(certs)).filter((name) => name.endsWith("/"))).toEqual([
    "docker.io/",
    "ghcr.io/",
  ]);
  const back = await entrepotNode(["rollback", "--root", dir.path]);
  expect(back).toMatchObject({ code: 1, text: expect.stringContaining("config.toml: changed at") });
  expect(readFileSync(dir.file("etc/containerd/config.toml"), "utf8")).toBe(edited);
  // The old mirror has nowhere else to be while config.toml names the directories.
  expect(Object.keys(tree(certs))).toEqual(["ghcr.io/", "ghcr.io/hosts.toml"]);
});

test("a cache that serves no registry is no reason to touch a node", async () => {
  await using dir = await image();
  await using server = Object.assign(
    Bun.serve({ port: 0, fetch: () => Response.json({ namespaces: [] }) }),
    { [Symbol.asyncDispose]: () => server.stop(true) },
  );
  const before = tree(dir.path);
  const words = ["apply", "--cache", server.url.origin, "--root", dir.path];
  expect(await entrepotNode(words)).toMatchObject({
    code: 1,
    text: expect.stringContaining("serves no registry"),
  });
  expect(tree(dir.path)).toEqual(before);
});
