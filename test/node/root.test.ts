import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tempDir } from "../harness/temp-dir.ts";
import { until } from "../harness/waiting.ts";
import { offlineNode, serveNamespaces, startWatching } from "./offline-node.ts";
import { entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

// Each test runs the program several times, on a machine that may be busy.
setDefaultTimeout(60_000);

test("an image is wired and restored by changes to its files only, and the output says so", async () => {
  await using dir = await offlineNode();
  const before = tree(dir.file("etc"));
  const root = ["--root", dir.path];
  const options = ["--cache", "http://cache:5000", "--upstream", "ghcr.io", ...root];

  const check = await entrepotNode(["check", ...root]);
  expect(check.code).toBe(1);
  expect(check.text).toContain("1.7.24~ds1-6 (/var/lib/dpkg/status)");
  expect(check.text).toContain("/etc/containerd/config.toml:3: mirrors");
  expect(check.text).toContain("containerd itself was not queried");

  const plan = await entrepotNode(["plan", ...options]);
  expect(plan.code).toBe(0);
  expect(plan.text).toContain("only files are changed");
  expect(plan.text).toContain("--- /etc/containerd/config.toml");
  expect(plan.text).not.toContain("never shown");
  expect(tree(dir.file("etc"))).toEqual(before);

  const apply = await entrepotNode(["apply", ...options]);
  expect(apply).toMatchObject({ code: 0, text: expect.stringContaining("nothing was restarted") });
  expect(readFileSync(dir.file("etc/containerd/config.toml"), "utf8")).toContain(
    'config_path = "/etc/containerd/certs.d"',
  );
  expect(readFileSync(dir.file("etc/containerd/certs.d/ghcr.io/hosts.toml"), "utf8")).toContain(
    '[host."http://10.0.0.1:5010"]',
  );
  const json = await entrepotNode(["check", "--json", "--runtime", "containerd", ...root]);
  expect(JSON.parse(json.text)).toMatchObject({
    wired: { cache: "http://cache:5000", namespaces: ["ghcr.io"] },
  });

  const back = await entrepotNode(["rollback", ...root]);
  expect(back).toMatchObject({ code: 0, text: expect.stringContaining("nothing was restarted") });
  expect(tree(dir.file("etc"))).toEqual(before);
});

test("verify and watch take --root, and say that nothing is wired or runs there", async () => {
  await using dir = await offlineNode();
  const root = ["--root", dir.path];
  const isNotWired = { code: 2, text: expect.stringContaining("this node is not wired") };
  expect(await entrepotNode(["verify", ...root])).toMatchObject(isNotWired);
  expect(await entrepotNode(["watch", ...root])).toMatchObject(isNotWired);
  const wire = ["apply", "--cache", "http://cache:5000", "--upstream", "ghcr.io", ...root];
  expect(await entrepotNode(wire)).toMatchObject({ code: 0 });
  const verified = await entrepotNode(["verify", ...root]);
  expect(verified.text).toContain(`nothing listens on ${dir.path}/run/containerd/containerd.sock`);
  expect(verified.code).toBe(1);
  expect(await entrepotNode(["check", "--root", dir.file("none")])).toMatchObject({ code: 2 });
});

test("the root of a distribution with a containerd of its own is recognised by its directories", async () => {
  await using dir = await tempDir("k3s");
  mkdirSync(dir.file("var/lib/rancher/k3s"), { recursive: true });
  const root = ["--root", dir.path];
  const desired = ["--cache", "http://cache:5000", "--upstream", "ghcr.io"];
  for (const args of [["check"], ["plan", ...desired], ["apply", ...desired]]) {
    const { code, text } = await entrepotNode([...args, ...root]);
    expect(code).toBe(1);
    expect(text).toContain("k3s manages this node (/var/lib/rancher/k3s exists");
    expect(text).toContain("/etc/rancher/k3s/registries.yaml");
  }
  const named = await entrepotNode(["plan", ...desired, ...root, "--containerd-version", "2.1.0"]);
  expect(named.text).toContain("k3s has a containerd of its own");
});

test("registries that are no longer named are restored, and an edited config.toml stays converted", async () => {
  await using dir = await offlineNode();
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
  // ghcr.io keeps the hosts.toml that its mirror in config.toml was converted to.
  expect(tree(certs)["ghcr.io/hosts.toml"]).not.toContain("cache:5000");
  expect(tree(certs)["ghcr.io/hosts.toml"]).toContain("10.0.0.1:5010");

  const edited = `# edited by hand\n${readFileSync(dir.file("etc/containerd/config.toml"), "utf8")}`;
  writeFileSync(dir.file("etc/containerd/config.toml"), edited);
  await wire("docker.io");
  expect(Object.keys(tree(certs)).filter((name) => name.endsWith("/"))).toEqual([
    "docker.io/",
    "ghcr.io/",
  ]);
  const back = await entrepotNode(["rollback", "--root", dir.path]);
  expect(back).toMatchObject({
    code: 1,
    text: expect.stringContaining("config.toml: modified at"),
  });
  expect(readFileSync(dir.file("etc/containerd/config.toml"), "utf8")).toBe(edited);
  // config.toml still names certs.d, so the former mirror stays in its hosts.toml.
  expect(Object.keys(tree(certs))).toEqual(["ghcr.io/", "ghcr.io/hosts.toml"]);
});

test("mirrors that an apply has dropped stay dropped in the next one, until they are asked for", async () => {
  await using dir = await offlineNode();
  const desired = ["--cache", "http://cache:5000", "--upstream", "ghcr.io", "--root", dir.path];
  const hosts = dir.file("etc/containerd/certs.d/ghcr.io/hosts.toml");
  const former = "10.0.0.1:5010";
  await entrepotNode(["apply", ...desired, "--replace"]);
  expect(readFileSync(hosts, "utf8")).not.toContain(former);
  const again = await entrepotNode(["apply", ...desired]);
  expect(again).toMatchObject({ code: 0, text: expect.stringContaining("Nothing to change") });
  expect(readFileSync(hosts, "utf8")).not.toContain(former);
  await entrepotNode(["apply", ...desired, "--no-replace"]);
  expect(readFileSync(hosts, "utf8")).toContain(former);
});

test("an apply with a cache that serves no registry changes nothing", async () => {
  await using dir = await offlineNode();
  await using server = serveNamespaces(() => []);
  const before = tree(dir.path);
  const args = ["apply", "--cache", server.url.origin, "--root", dir.path];
  expect(await entrepotNode(args)).toMatchObject({
    code: 1,
    text: expect.stringContaining("serves no registry"),
  });
  expect(tree(dir.path)).toEqual(before);
});

test("a watcher ignores an empty list of namespaces", async () => {
  await using dir = await offlineNode();
  let serves = ["ghcr.io", "quay.io"];
  let requests = 0;
  await using server = serveNamespaces(() => {
    requests += 1;
    return serves;
  });
  const cache = server.url.origin;
  expect(await entrepotNode(["apply", "--cache", cache, "--root", dir.path])).toMatchObject({
    code: 0,
  });
  const wired = tree(dir.file("etc"));
  await using watcher = startWatching(dir);
  const { lines } = watcher;
  const requestedTwice = async (what: string): Promise<void> => {
    const before = requests;
    await until(() => requests > before + 2, { what });
  };
  serves = [];
  await requestedTwice("the watcher to request the empty list");
  expect(tree(dir.file("etc"))).toEqual(wired);
  expect(lines).toEqual([expect.stringContaining("serves no registry")]);
  // A list that is not empty is followed as before.
  serves = ["quay.io"];
  const certs = dir.file("etc/containerd/certs.d");
  await until(() => !tree(certs)["ghcr.io/hosts.toml"]?.includes(cache), {
    what: "ghcr.io to be restored",
  });
  expect(tree(certs)["quay.io/hosts.toml"]).toContain(cache);
});

test("a watcher switches to the new cache when the node is wired to another one", async () => {
  await using dir = await offlineNode();
  const names = ["ghcr.io", "quay.io"];
  await using first = serveNamespaces(() => names);
  await using second = serveNamespaces(() => names);
  const wire = (cache: URL) => entrepotNode(["apply", "--cache", cache.origin, "--root", dir.path]);
  expect(await wire(first.url)).toMatchObject({ code: 0 });
  await using watcher = startWatching(dir);
  expect(await wire(second.url)).toMatchObject({ code: 0 });
  const reported = (line: string) => (): boolean => watcher.lines.some((it) => it.includes(line));
  await until(reported(`now wired to ${second.url.origin}`), { what: "the watcher to notice" });
  // The first cache is not watched any more: its failure changes nothing.
  await first.stop(true);
  const wired = tree(dir.file("etc"));
  // A leftover of a killed watcher must not keep the directory, which would shadow _default.
  writeFileSync(dir.file("etc/containerd/certs.d/quay.io/.hosts.toml.entrepot-new"), "half");
  await second.stop(true);
  await until(reported(`removed ${second.url.origin} from`), {
    what: "the second cache to be removed",
  });
  expect(watcher.lines.filter((line) => line.includes(first.url.origin))).toEqual([]);
  expect(tree(dir.file("etc"))).not.toEqual(wired);
  expect(existsSync(dir.file("etc/containerd/certs.d/quay.io"))).toBe(false);
});

test("a rollback rejects the journal of another containerd", async () => {
  await using dir = await offlineNode();
  const root = ["--root", dir.path];
  await entrepotNode(["apply", "--cache", "http://cache:5000", "--upstream", "ghcr.io", ...root]);
  const wired = tree(dir.path);
  const other = [...root, "--containerd-config", "/etc/other/config.toml"];
  expect(await entrepotNode(["rollback", ...other])).toMatchObject({
    code: 1,
    text: expect.stringContaining("configured by /etc/containerd/config.toml"),
  });
  const check = await entrepotNode(["check", ...other]);
  expect(check.text).toContain(
    "belongs to the containerd that is configured by /etc/containerd/config.toml",
  );
  expect(tree(dir.path)).toEqual(wired);
  const own = [...root, "--containerd-config", "/etc/containerd/config.toml"];
  expect(await entrepotNode(["rollback", ...own])).toMatchObject({ code: 0 });
});

test("check reports a damaged journal with its position, beside all other findings", async () => {
  await using dir = await offlineNode();
  const root = ["--root", dir.path];
  await entrepotNode(["apply", "--cache", "http://cache:5000", "--upstream", "ghcr.io", ...root]);
  const journal = dir.file("var/lib/entrepot/node/journal.json");
  const text = readFileSync(journal, "utf8");
  mkdirSync(dir.file("etc/containerd/certs.d/quay.io"));
  for (const [damaged, message] of [
    [text.slice(0, text.indexOf('"files"') + 20), /journal\.json:\d+:\d+: .*it is not valid JSON/],
    ["", /journal\.json: .*it is empty/],
    [text.replace('"format": 2', '"format": 3'), /journal\.json: .*format: /],
  ] as const) {
    writeFileSync(journal, damaged);
    const before = tree(dir.path);
    const check = await entrepotNode(["check", ...root]);
    expect(check.code).toBe(1);
    expect(check.text).toMatch(message);
    expect(check.text).toContain("move it aside");
    expect(check.text).toContain("it contains no hosts.toml");
    const named = ["--json", "--runtime", "containerd", ...root];
    const json = JSON.parse((await entrepotNode(["check", ...named])).text) as {
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

test("a journal of format 1 still restores every byte", async () => {
  await using dir = await offlineNode();
  const before = tree(dir.file("etc"));
  const root = ["--root", dir.path];
  await entrepotNode(["apply", "--cache", "http://cache:5000", "--upstream", "ghcr.io", ...root]);
  const journal = dir.file("var/lib/entrepot/node/journal.json");
  const text = readFileSync(journal, "utf8");
  const format1 = text
    .replace('"format": 2', '"format": 1')
    .replace('"desired":', '"wish":')
    .replaceAll('"withoutCache":', '"out":');
  expect(format1).not.toContain("withoutCache");
  writeFileSync(journal, format1);
  expect(await entrepotNode(["rollback", ...root])).toMatchObject({ code: 0 });
  expect(tree(dir.file("etc"))).toEqual(before);
});

test("a wired hosts.toml that was edited and adopted is rolled back to its first original", async () => {
  await using dir = await offlineNode();
  const before = tree(dir.file("etc"));
  const options = ["--cache", "http://cache:5000", "--upstream", "ghcr.io", "--root", dir.path];
  const hosts = dir.file("etc/containerd/certs.d/ghcr.io/hosts.toml");
  const wire = (...more: string[]) => entrepotNode(["apply", ...options, ...more]);
  expect(await wire()).toMatchObject({ code: 0 });
  writeFileSync(hosts, readFileSync(hosts, "utf8").replace(`"1s"`, `"2s"`));
  expect(await wire()).toMatchObject({ code: 1 });
  expect(await wire("--adopt")).toMatchObject({ code: 0 });
  expect(await entrepotNode(["rollback", "--root", dir.path])).toMatchObject({ code: 0 });
  expect(tree(dir.file("etc"))).toEqual(before);

  // A foreign hosts.toml that does not name the cache becomes the new original.
  const own = `server = "https://ghcr.io"\n[host."http://own:1"]\n`;
  expect(await wire()).toMatchObject({ code: 0 });
  writeFileSync(hosts, own);
  expect(await wire("--adopt")).toMatchObject({ code: 0 });
  expect(await entrepotNode(["rollback", "--root", dir.path])).toMatchObject({ code: 0 });
  expect(readFileSync(hosts, "utf8")).toBe(own);
});
