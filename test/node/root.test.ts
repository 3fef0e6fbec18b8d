import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { until } from "../harness/waiting.ts";
import { image, saysItServes, startWatching } from "./offline-node.ts";
import { entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

// Each is a handful of runs of the whole program, on a machine that may be busy.
setDefaultTimeout(60_000);

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
  await using server = saysItServes(() => []);
  const before = tree(dir.path);
  const words = ["apply", "--cache", server.url.origin, "--root", dir.path];
  expect(await entrepotNode(words)).toMatchObject({
    code: 1,
    text: expect.stringContaining("serves no registry"),
  });
  expect(tree(dir.path)).toEqual(before);
});

test("a watched cache that serves no registry any more unwires nothing", async () => {
  await using dir = await image();
  let serves = ["ghcr.io", "quay.io"];
  let asked = 0;
  await using server = saysItServes(() => {
    asked += 1;
    return serves;
  });
  const cache = server.url.origin;
  expect(await entrepotNode(["apply", "--cache", cache, "--root", dir.path])).toMatchObject({
    code: 0,
  });
  const wired = tree(dir.file("etc"));
  await using watcher = startWatching(dir);
  const { said } = watcher;
  const looksTwice = async (what: string): Promise<void> => {
    const from = asked;
    await until(() => asked > from + 2, { what });
  };
  serves = [];
  await looksTwice("the watcher to see an empty list");
  expect(tree(dir.file("etc"))).toEqual(wired);
  expect(said).toEqual([expect.stringContaining("serves no registry")]);
  // A list with something in it is followed as before.
  serves = ["quay.io"];
  const left = dir.file("etc/containerd/certs.d");
  await until(() => !tree(left)["ghcr.io/hosts.toml"]?.includes(cache), { what: "ghcr.io to go" });
  expect(tree(left)["quay.io/hosts.toml"]).toContain(cache);
});

test("a watcher goes along when the node is wired to another cache", async () => {
  await using dir = await image();
  const names = ["ghcr.io", "quay.io"];
  await using first = saysItServes(() => names);
  await using second = saysItServes(() => names);
  const wire = (cache: URL) => entrepotNode(["apply", "--cache", cache.origin, "--root", dir.path]);
  expect(await wire(first.url)).toMatchObject({ code: 0 });
  await using watcher = startWatching(dir);
  expect(await wire(second.url)).toMatchObject({ code: 0 });
  const told = (line: string) => (): boolean => watcher.said.some((it) => it.includes(line));
  await until(told(`wired to ${second.url.origin} now`), { what: "the watcher to notice" });
  // The former one goes away, as it may by now: no mirror is taken out for that.
  await first.stop(true);
  const wired = tree(dir.file("etc"));
  // As a watcher leaves it that was killed: a directory that stays behind empty goes by no _default.
  writeFileSync(dir.file("etc/containerd/certs.d/quay.io/.hosts.toml.entrepot-new"), "half");
  await second.stop(true);
  await until(told(`of ${second.url.origin} are taken out`), { what: "the second to be out" });
  expect(watcher.said.filter((line) => line.includes(first.url.origin))).toEqual([]);
  expect(tree(dir.file("etc"))).not.toEqual(wired);
  expect(existsSync(dir.file("etc/containerd/certs.d/quay.io"))).toBe(false);
});

test("a journal about one containerd is no reason to roll another one back", async () => {
  await using dir = await image();
  const root = ["--root", dir.path];
  await entrepotNode(["apply", "--cache", "http://cache:5000", "--upstream", "ghcr.io", ...root]);
  const wired = tree(dir.path);
  const other = [...root, "--containerd-config", "/etc/other/config.toml"];
  expect(await entrepotNode(["rollback", ...other])).toMatchObject({
    code: 1,
    text: expect.stringContaining("it is about /etc/containerd/config.toml"),
  });
  const check = await entrepotNode(["check", ...other]);
  expect(check.text).toContain("is about /etc/containerd/config.toml");
  expect(tree(dir.path)).toEqual(wired);
  const own = [...root, "--containerd-config", "/etc/containerd/config.toml"];
  expect(await entrepotNode(["rollback", ...own])).toMatchObject({ code: 0 });
});

test("a damaged journal hides nothing else that is wrong, and is told with its place", async () => {
  await using dir = await image();
  const root = ["--root", dir.path];
  await entrepotNode(["apply", "--cache", "http://cache:5000", "--upstream", "ghcr.io", ...root]);
  const journal = dir.file("var/lib/entrepot/node/journal.json");
  const text = readFileSync(journal, "utf8");
  mkdirSync(dir.file("etc/containerd/certs.d/quay.io"));
  for (const [damaged, what] of [
    [text.slice(0, text.indexOf('"files"') + 20), /journal\.json:\d+:\d+: .*it is no JSON/],
    ["", /journal\.json: .*it is empty/],
    [text.replace('"format": 1', '"format": 2'), /journal\.json: .*format: /],
  ] as const) {
    writeFileSync(journal, damaged);
    const before = tree(dir.path);
    const check = await entrepotNode(["check", ...root]);
    expect(check.code).toBe(1);
    expect(check.text).toMatch(what);
    expect(check.text).toContain("move it aside");
    expect(check.text).toContain("there is no hosts.toml in it");
    const json = JSON.parse((await entrepotNode(["check", "--json", ...root])).text) as {
      findings: { code: string }[];
    };
    expect(json.findings.map(({ code }) => code)).toEqual([
      "journal-damaged",
      "hosts-empty-directory",
    ]);
    const back = await entrepotNode(["rollback", ...root]);
    expect(back).toMatchObject({ code: 1, text: expect.stringContaining("move it aside") });
    expect(tree(dir.path)).toEqual(before);
  }
});

test("a hosts.toml that was edited, and adopted again, goes back to what it was before all of it", async () => {
  await using dir = await image();
  const before = tree(dir.file("etc"));
  const wish = ["--cache", "http://cache:5000", "--upstream", "ghcr.io", "--root", dir.path];
  const hosts = dir.file("etc/containerd/certs.d/ghcr.io/hosts.toml");
  const wire = (...more: string[]) => entrepotNode(["apply", ...wish, ...more]);
  expect(await wire()).toMatchObject({ code: 0 });
  writeFileSync(hosts, readFileSync(hosts, "utf8").replace(`"1s"`, `"2s"`));
  expect(await wire()).toMatchObject({ code: 1 });
  expect(await wire("--adopt")).toMatchObject({ code: 0 });
  expect(await entrepotNode(["rollback", "--root", dir.path])).toMatchObject({ code: 0 });
  expect(tree(dir.file("etc"))).toEqual(before);

  // One that is somebody's own by now, without the cache, is put back as that.
  const own = `server = "https://ghcr.io"\n[host."http://own:1"]\n`;
  expect(await wire()).toMatchObject({ code: 0 });
  writeFileSync(hosts, own);
  expect(await wire("--adopt")).toMatchObject({ code: 0 });
  expect(await entrepotNode(["rollback", "--root", dir.path])).toMatchObject({ code: 0 });
  expect(readFileSync(hosts, "utf8")).toBe(own);
});
