import { expect, test } from "bun:test";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./harness/free-port.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const entrepot = (...args: string[]) => run([PROGRAM, ...args]);
const CACHE = ["--cache", "http://192.168.1.10:5000"];

test("render prints a single file to stdout; the header of a JSON file goes to stderr", async () => {
  const k3s = await entrepot("render", "k3s", ...CACHE, "--upstream", "docker.io", "ghcr.io");
  expect(k3s).toMatchObject({ code: 0, stderr: "" });
  expect(k3s.stdout).toStartWith("# Where: /etc/rancher/k3s/registries.yaml");
  const docker = await entrepot("render", "docker", ...CACHE, "--upstream", "docker.io");
  expect(JSON.parse(docker.stdout)).toMatchObject({
    "registry-mirrors": ["http://192.168.1.10:5000"],
  });
  expect(docker.stderr).toContain("Where: /etc/docker/daemon.json");
});

test("render --json prints the files with their paths", async () => {
  const args = ["--upstream", "reg.test=https://other.test", "--json"];
  const { code, stdout } = await entrepot("render", "nerdctl", ...CACHE, ...args);
  expect(code).toBe(0);
  const printed: { files: { path: string; text: string }[] } = JSON.parse(stdout);
  expect(printed.files.map(({ path }) => path)).toEqual([
    "/etc/containerd/certs.d/reg.test/hosts.toml",
  ]);
  expect(printed.files[0]?.text).toContain('server = "https://other.test"');
});

const invalidUses: [args: string[], message: string][] = [
  [["render", "nowhere", ...CACHE], "Write one of containerd, k3s"],
  [["render", "k3s"], "required option '--cache <url>'"],
  [["render", "k3s", ...CACHE, "--ca", "/nowhere"], "--ca applies to a cache at https:// only"],
  [
    ["render", "k3s", "--cache", "https://cache:5000", "--ca", "/nowhere", "--upstream", "ghcr.io"],
    "--ca /nowhere cannot be read",
  ],
  [["render", "k3s", "--cache", "cache:5000"], "Write scheme, host and port"],
  [["render", "k3s", "--cache", "http://cache:5000/v2"], "Write scheme, host and port"],
  [["render", "k3s", ...CACHE, "--upstream", "https://ghcr.io"], "is not a valid registry name"],
  [["render", "docker", ...CACHE, "--upstream", "ghcr.io"], "add --upstream docker.io"],
  [["render", "k3s", "--cache", `http://127.0.0.1:${freePort()}`], "does not respond"],
  [["import"], "missing required argument 'file'"],
  [["import", "f", "--name", "nonsense"], "Write HOST=REGISTRY"],
  [["import", "f", "--port", "5010"], "Write REGISTRY=PORT or REGISTRY=HOST:PORT"],
  [["import", "f", "--port", "ghcr.io=0"], "Write REGISTRY=PORT or REGISTRY=HOST:PORT"],
  [["import", "f", "--port", "ghcr.io=$(id):5010"], "Write REGISTRY=PORT or REGISTRY=HOST:PORT"],
  [["import", "f", "--drop-auth", "https://ghcr.io"], "Write the name of a registry"],
  [["import", "f", "--chart", "--json"], "option '--chart' cannot be used with option '--json'"],
  [
    ["import", "f", "--chart", "--compose", "c", "--output", "o"],
    "option '--chart' cannot be used with option '--compose <file>'",
  ],
];

test.each(invalidUses)(
  "invalid arguments exit with 2 and a message that says what to write (%#)",
  async (args, message) => {
    const { code, stderr, stdout } = await entrepot(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  },
);

test("neither render nor import overwrites a file that it did not write", async () => {
  await using folder = await tempDir("mine");
  const daemon = folder.file("etc/docker/daemon.json");
  await mkdir(folder.file("etc/docker"), { recursive: true });
  await writeFile(daemon, "{}\n");
  const args = [...CACHE, "--upstream", "docker.io", "--output", folder.path];
  const rendered = await entrepot("render", "docker", ...args);
  expect(rendered.code).toBe(2);
  expect(rendered.stderr).toContain("daemon.json already exists with different content");
  expect(await readFile(daemon, "utf8")).toBe("{}\n");

  const hub = folder.file("hub.yml");
  await writeFile(hub, "version: 0.1\nproxy: { remoteurl: https://registry-1.docker.io }\n");
  const output = folder.file("entrepot.yaml");
  const first = await entrepot("import", hub, "--output", output);
  expect(first.code).toBe(0);
  expect(first.stderr).toContain(`entrepot serve --config ${output}`);
  // The file may contain a password.
  expect((await stat(output)).mode & 0o777).toBe(0o600);
  const second = await entrepot("import", hub, "--output", output);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain("already exists: choose another name");
});

test("import --json prints the configuration, and unreadable files exit with 1", async () => {
  await using folder = await tempDir("json");
  const hub = folder.file("hub.yml");
  await writeFile(
    hub,
    "version: 0.1\nstorage: { filesystem: { rootdirectory: /var/lib/registry } }\nhttp: { addr: ':5010' }\nproxy: { remoteurl: https://ghcr.io }\n",
  );
  const { code, stdout } = await entrepot("import", hub, "--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    config: { listen: "127.0.0.1:5000", upstreams: { "ghcr.io": { listen: "0.0.0.0:5010" } } },
    from: { "upstreams.ghcr.io.listen": `${hub}:3 http.addr` },
    adopt: [{ upstream: "ghcr.io", folder: "/var/lib/registry" }],
  });
  const missing = await entrepot("import", folder.file("none.yml"), folder.path);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("none.yml does not exist");
  expect(missing.stderr).toContain("is a directory, not a file");
});

test("a registry that asked for a password is imported only if that is accepted, by options before the file", async () => {
  await using folder = await tempDir("auth");
  const [file, output] = [folder.file("ghcr.yml"), folder.file("entrepot.yaml")];
  await writeFile(
    file,
    "version: 0.1\nhttp: { addr: ':5010' }\nauth: { htpasswd: { realm: r, path: /p } }\nproxy: { remoteurl: https://mirror.gcr.io }\n",
  );
  const refused = await entrepot("import", file, "--output", output);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain(
    `${file}:3:28: auth.htpasswd.realm: clients had to show a password`,
  );
  expect(await stat(output).catch(() => undefined)).toBeUndefined();
  const options = ["--name", "mirror.gcr.io=docker.io", "--drop-auth", "docker.io"];
  const ports = ["--port", "index.docker.io=127.0.0.1:5000"];
  const accepted = await entrepot("import", ...options, ...ports, file, "--output", output);
  expect(accepted.code).toBe(0);
  expect(accepted.stderr).toStartWith("Check this first:\n");
  expect(await readFile(output, "utf8")).toContain(
    "\nlisten: 127.0.0.1:5000 # --port docker.io=127.0.0.1:5000: ",
  );
});

test("import names the cron jobs to remove: of a crontab alone, and beside the configuration", async () => {
  await using folder = await tempDir("cron");
  const crontab = folder.file("crontab");
  await writeFile(crontab, "0 * * * * docker restart hub # \u009b2J\n");
  const line = `  ${crontab}:1 docker restart hub # \\u009b2J: it restarts a container or service: if that is a registry, it is back on its port at the next run\n`;
  const title = "Remove these jobs before you stop the old registries:\n";
  const output = folder.file("entrepot.yaml");
  const alone = await entrepot("import", crontab, "--output", output);
  expect(alone).toEqual({
    code: 0,
    stdout: title + line,
    stderr: `${output} was not written: no file has a registry\n`,
  });
  const hub = folder.file("hub.yml");
  await writeFile(hub, "version: 0.1\nproxy: { remoteurl: https://ghcr.io }\n");
  const both = await entrepot("import", crontab, hub, "--output", output);
  expect([both.code, both.stderr]).toEqual([0, expect.stringContaining(title + line)]);
  expect(await readFile(output, "utf8")).toEndWith(`\n# ${title}# ${line}`);
});

test("import --chart writes values, refers to Secrets without reading them, and says what is next", async () => {
  await using folder = await tempDir("chart");
  const [file, output] = [folder.file("config.yaml"), folder.file("values.yaml")];
  await writeFile(
    file,
    "apiVersion: registry.extensions.gardener.cloud/v1alpha3\nkind: RegistryConfig\ncaches: [{ upstream: quay.io, secretReferenceName: quay }]\n",
  );
  const { code, stderr } = await entrepot("import", file, "--chart", "--output", output);
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(/the release: quay \(username, password\)\n.*\n +helm upgrade --install/),
  ]);
  expect(await readFile(output, "utf8")).toContain("secretDir: /run/secrets/quay");
});
