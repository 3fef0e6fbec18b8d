import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import type { TempDir } from "../harness/temp-dir.ts";
import { until } from "../harness/waiting.ts";
import { offlineNode, serveNamespaces, startWatching } from "./offline-node.ts";
import { entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

setDefaultTimeout(60_000);

const CONFIG = "etc/containerd/config.toml";
const CERTS = "etc/containerd/certs.d";
const since = /changed at \d{4}-\d\d-\d\dT/;

interface Report {
  readonly code: number;
  readonly wired: { readonly namespaces: string[]; readonly lost: string[] };
  readonly drift: { readonly at: { file: string }; severity: string; what: string }[];
}

async function check(dir: TempDir): Promise<Report> {
  const { code, text } = await entrepotNode([
    "check",
    "--json",
    "--runtime",
    "containerd",
    "--root",
    dir.path,
  ]);
  const { wired, findings } = JSON.parse(text) as Pick<Report, "wired"> & {
    findings: (Report["drift"][number] & { code: string })[];
  };
  return { code, wired, drift: findings.filter((finding) => finding.code === "drift") };
}

/** A node that is wired for two registries. */
async function wiredNode(cache: string): Promise<TempDir> {
  const dir = await offlineNode();
  const args = ["apply", "--cache", cache, "--root", dir.path, "--upstream", "ghcr.io", "quay.io"];
  expect(await entrepotNode(args)).toMatchObject({ code: 0 });
  return dir;
}

test("check says what became of a wiring when config.toml was put back or certs.d deleted", async () => {
  await using dir = await wiredNode("http://cache:5000");
  const wired = readFileSync(dir.file(CONFIG), "utf8");
  expect(await check(dir)).toMatchObject({
    code: 0,
    wired: { namespaces: ["ghcr.io", "quay.io"], lost: [] },
    drift: [],
  });

  // A configuration manager writes its own file, with the times of its copy.
  const original = wired
    .replace(/^ *config_path.*\n/m, "")
    .replace(`[plugins."io.containerd.grpc.v1.cri".registry]\n`, "");
  writeFileSync(dir.file(CONFIG), original);
  utimesSync(dir.file(CONFIG), 0, 0);
  const replaced = await check(dir);
  expect(replaced).toMatchObject({
    code: 1,
    wired: { namespaces: [], lost: ["ghcr.io", "quay.io"] },
    drift: [{ at: { file: `/${CONFIG}` }, severity: "error" }],
  });
  expect(replaced.drift[0]?.what).toMatch(since);
  expect(replaced.drift[0]?.what).not.toContain("1970");
  const shown = await entrepotNode(["check", "--root", dir.path]);
  expect(shown.text).toContain("Not wired any more: the files lead no pull to http://cache:5000");
  expect(shown.text).toContain("run entrepot node apply again");

  writeFileSync(dir.file(CONFIG), wired);
  rmSync(dir.file(CERTS), { recursive: true });
  expect(await check(dir)).toMatchObject({
    wired: { namespaces: [], lost: ["ghcr.io", "quay.io"] },
    drift: [
      {
        at: { file: `/${CERTS}` },
        what: expect.stringContaining(
          "not as entrepot left it: it is missing, with 2 files, changed at",
        ),
      },
    ],
  });
});

test("check tells apart what still leads to the cache and what does not", async () => {
  await using dir = await wiredNode("http://cache:5000");
  const hosts = dir.file(CERTS, "ghcr.io/hosts.toml");
  writeFileSync(hosts, `# a comment\n${readFileSync(hosts, "utf8")}`);
  expect(await check(dir)).toMatchObject({
    code: 1,
    wired: { namespaces: ["ghcr.io", "quay.io"], lost: [] },
    drift: [{ severity: "warning", what: expect.stringContaining("it was modified") }],
  });
  rmSync(dir.file(CERTS, "quay.io"), { recursive: true });
  expect(await entrepotNode(["check", "--root", dir.path])).toMatchObject({
    code: 1,
    text: expect.stringContaining(
      "Wired to http://cache:5000 for ghcr.io, and not any more for quay.io.",
    ),
  });
});

test("check notices a config_path that was there before the wiring and is gone", async () => {
  await using dir = await offlineNode();
  const table = `[plugins."io.containerd.grpc.v1.cri".registry]`;
  writeFileSync(
    dir.file(CONFIG),
    `version = 2\n${table}\nconfig_path = "/etc/containerd/certs.d"\n`,
  );
  const args = ["apply", "--cache", "http://cache:5000", "--root", dir.path];
  expect(await entrepotNode([...args, "--upstream", "ghcr.io"])).toMatchObject({ code: 0 });
  writeFileSync(dir.file(CONFIG), "version = 2\n");
  expect(await check(dir)).toMatchObject({
    code: 1,
    wired: { namespaces: [], lost: ["ghcr.io"] },
    drift: [{ at: { file: `/${CONFIG}` }, what: expect.stringMatching(since) }],
  });
});

test("a watcher reports drift once, and repairs only with --repair and only what needs no restart", async () => {
  await using server = serveNamespaces(() => ["ghcr.io", "quay.io"]);
  await using dir = await wiredNode(server.url.origin);
  const wired = tree(dir.file(CERTS));
  const config = readFileSync(dir.file(CONFIG), "utf8");
  {
    await using watcher = startWatching(dir);
    rmSync(dir.file(CERTS), { recursive: true });
    const missing = (line: string): boolean => line.includes("it is missing, with 2 files");
    await until(() => watcher.lines.some(missing), { what: "the drift to be reported" });
    writeFileSync(dir.file(CONFIG), `# managed\n${config}`);
    await until(() => watcher.lines.some((line) => line.includes("needs a restart")), {
      what: "the other drift to be reported",
    });
    expect(watcher.lines.filter(missing)).toHaveLength(1);
    expect(watcher.lines.find(missing)).toContain("run entrepot node apply again");
    expect(() => tree(dir.file(CERTS))).toThrow();
  }
  const quay = dir.file(CERTS, "quay.io/hosts.toml");
  await using watcher = startWatching(dir, { repair: true });
  await until(() => watcher.lines.some((line) => line.includes("wrote again")), {
    what: "the files to be written again",
  });
  expect(tree(dir.file(CERTS))).toEqual(wired);
  // What needs a restart, or was edited by somebody else, stays as it is.
  expect(readFileSync(dir.file(CONFIG), "utf8")).toBe(`# managed\n${config}`);
  writeFileSync(quay, "# mine\n");
  await until(() => watcher.lines.some((line) => line.includes("it is left as it is")), {
    what: "the edit to be reported",
  });
  expect(readFileSync(quay, "utf8")).toBe("# mine\n");
});
