import { expect, test } from "bun:test";
import { ImportedConfig } from "../foreign/imported-config.ts";
import { jobLines, warningLines } from "../foreign/write-config.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import { YamlSource } from "../parsing/yaml-source.ts";
import { noteServiceJobs } from "./compose-jobs.ts";
import { isCrontab, readCrontab } from "./crontab.ts";
import { jobKind, scriptJobKind, scriptsOf } from "./job-command.ts";
import { isJobService, isTimer, readJobService, readTimer } from "./timer.ts";

test.each([
  "docker restart hub",
  "/usr/bin/docker restart hub ghcr",
  "sudo podman --root /srv start hub",
  "docker container stop hub && docker container start hub",
  "cd /opt/caches && docker compose -f hub.yml up -d",
  "docker-compose restart",
  "nerdctl -n k8s.io restart hub",
  'sh -c "docker restart $(docker ps -q)"',
  "systemctl restart docker-registry",
  "systemctl --user --quiet try-restart hub.service",
  "service docker-registry restart",
  "/etc/init.d/docker-registry restart >/dev/null",
  "docker run --rm -v hub:/var/lib/registry busybox true",
])("%s restarts", (command) => {
  expect(jobKind(command)).toBe("restarts");
});

test.each([
  "docker exec hub registry garbage-collect /etc/docker/registry/config.yml",
  "docker exec hub bin/registry garbage-collect --delete-untagged=true /etc/distribution/config.yml && docker restart hub",
  "docker run --rm -v hub:/var/lib/registry registry:2 garbage-collect /etc/docker/registry/config.yml",
  "docker-registry garbage-collect /etc/docker/registry/config.yml",
])("%s collects garbage", (command) => {
  expect(jobKind(command)).toBe("collects-garbage");
});

test.each([
  "docker system prune -f",
  "docker ps",
  "docker pull alpine; echo restart",
  "systemctl is-active docker-registry",
  "certbot renew",
  "backup /srv/registry-restarts",
])("%s is left alone", (command) => {
  expect(jobKind(command)).toBeUndefined();
});

test("the scripts of a command are those that a shell would run", () => {
  expect(scriptsOf("/opt/gc.sh hub && flock -n /run/l /bin/sh /opt/b.sh | tee /var/log/x")).toEqual(
    ["/opt/gc.sh"],
  );
  expect(scriptsOf("A=1 nice -n 10 bash /opt/c.sh; '/opt/q.sh'; $HOME/x; /dev/stdin")).toEqual([
    "/opt/c.sh",
  ]);
});

const scripts: Readonly<Record<string, string>> = {
  "/opt/gc.sh":
    "#!/bin/sh\n# docker restart hub\ndocker stop hub\nregistry garbage-collect x\ndocker start hub\n",
  "/opt/other.sh": "#!/bin/sh\necho docker\n",
  "/etc/systemd/system/nightly.service":
    "[Service]\nExecStartPre=-/bin/true\nExecStart=-/usr/bin/docker \\\n  restart hub\nExecStartPost=/opt/gc.sh\n",
};

function linesFrom(read: typeof readCrontab, file: string, text: string): string[] {
  const imported = new ImportedConfig();
  const readFile = (path: string): string => {
    const found = scripts[path];
    if (found === undefined) throw new UnreadableError("does not exist");
    return found;
  };
  read(file, text, readFile, imported);
  return [...jobLines(imported), ...imported.unsupported.map(({ reason }) => reason)];
}

test("a crontab's jobs are named with file, line and command", () => {
  const text = `# m h dom mon dow
MAILTO=root
PATH = /usr/bin

0 * * * * docker restart hub%ignored
@daily\t/opt/gc.sh --all
30 3 1-7 */2 Mon,SUN docker exec ghcr registry garbage-collect /c.yml
5 4 * * * /opt/other.sh
6 4 * * * /opt/missing.sh
7 4 * * * echo \u001b[2J\u2028; docker restart x\r
`;
  expect(isCrontab("mine", text)).toBe(true);
  const restarts =
    "restarts a container or service: if that is a registry, it is back on its port at the next run";
  expect(linesFrom(readCrontab, "mine", text)).toEqual([
    `mine:5 docker restart hub: it ${restarts}`,
    "mine:6 /opt/gc.sh --all: it runs /opt/gc.sh:4, which collects garbage, which Entrepot does itself",
    "mine:7 docker exec ghcr registry garbage-collect /c.yml: it collects garbage, which Entrepot does itself",
    `mine:10 echo \\u001b[2J\\u2028; docker restart x: it ${restarts}`,
  ]);
});

test("what may be a password in a job is not printed", () => {
  const imported = new ImportedConfig();
  const text = `@daily docker run -e REGISTRY_PROXY_PASSWORD=hunter2 -e 'A_B="hunter2 x"' --name=hub registry:2
@daily curl -su me:hunter2 https://me:hunter2@x.test --password hunter2; docker restart hub
`;
  readCrontab("/in/crontab", text, () => "", imported);
  const lines = [...jobLines(imported), ...warningLines(imported)].join("\n");
  expect(lines).not.toContain("hunter2");
  expect(lines).toContain(
    "docker run -e REGISTRY_PROXY_PASSWORD=… -e 'A_B=…' --name=hub registry:2",
  );
  expect(lines).toContain("curl -su me:… https://…@x.test --password …; docker restart hub");
});

test("a crontab of the system has a user before the command", () => {
  const text = "0 * * * * root docker restart hub\n@hourly www-data docker restart ghcr\n";
  const commands = linesFrom(readCrontab, "/etc/cron.d/caches", text).map(
    (line) => line.split(": ")[0],
  );
  expect(commands).toEqual([
    "/etc/cron.d/caches:1 docker restart hub",
    "/etc/cron.d/caches:2 docker restart ghcr",
  ]);
});

test.each([
  "docker run -d -p 5000:5000 registry:2\n",
  "version: 0.1\nhttp: { addr: :5000 }\n",
  "#!/bin/sh\n0 1 2\n",
  "MAILTO=root\n",
  "",
])("%j is no crontab", (text) => {
  expect(isCrontab("f", text)).toBe(false);
});

test("a crontab of a user may have any name, and no job", () => {
  const text = "0 * * * * docker restart hub\n@daily root /opt/gc.sh\n";
  expect(linesFrom(readCrontab, "crontab", text).map((line) => line.split(": ")[0])).toEqual([
    "crontab:1 docker restart hub",
    "crontab:2 root /opt/gc.sh",
  ]);
  expect(isCrontab("crontab.txt", "# m h  dom mon dow   command\nMAILTO=me\n")).toBe(true);
  expect(isCrontab("crontab.txt", "docker run registry:2\n")).toBe(false);
});

test("of scripts, restarts of other services are left alone", () => {
  expect(scriptJobKind("systemctl start --no-block e2scrub@x.service")).toBeUndefined();
  expect(scriptJobKind("systemctl restart docker-registry")).toBe("restarts");
  expect(scriptJobKind("service docker restart")).toBe("restarts");
  expect(scriptJobKind('docker restart "$c"')).toBe("restarts");
});

test("a service that does a job is one, and a service that runs a registry is none", () => {
  const job = "[Service]\nType=oneshot\nExecStart=-docker exec hub registry garbage-collect /c\n";
  expect(isJobService(job)).toBe(true);
  expect(linesFrom(readJobService, "gc.service", job)).toEqual([
    "gc.service:3 docker exec hub registry garbage-collect /c: it collects garbage, which Entrepot does itself",
  ]);
  expect(isJobService("[Service]\nExecStart=docker start -a hub\n")).toBe(false);
  const runs =
    "[Service]\nType=oneshot\nExecStartPre=-docker rm -f hub\nExecStart=docker run --name hub registry:2\n";
  expect(isJobService(runs)).toBe(false);
  expect(
    isJobService(`[Service]\nType=oneshot\nExecStart=${" ".repeat(300_000)}\nExecStop=x\n`),
  ).toBe(false);
});

test("a timer's jobs are those of its service", () => {
  const timer = "[Unit]\nDescription=x\n[Timer]\nOnCalendar=daily\nUnit=nightly.service\n";
  expect(isTimer(timer)).toBe(true);
  expect(linesFrom(readTimer, "/etc/systemd/system/gc.timer", timer)).toEqual([
    "/etc/systemd/system/nightly.service:3 /usr/bin/docker    restart hub: it restarts a container or service: if that is a registry, it is back on its port at the next run",
    "/etc/systemd/system/nightly.service:5 /opt/gc.sh: it runs /opt/gc.sh:4, which collects garbage, which Entrepot does itself",
  ]);
  expect(linesFrom(readTimer, "/etc/systemd/system/gone.timer", "[Timer]\n")).toEqual([
    "/etc/systemd/system/gone.service does not exist: if it restarts one of the registries, disable the timer",
  ]);
});

test("a crontab of 1 MiB reads each script once", () => {
  let reads = 0;
  const imported = new ImportedConfig();
  const readFile = (): string => {
    reads += 1;
    return "docker ".repeat(30_000);
  };
  readCrontab("f", "* * * * * /opt/x.sh\n".repeat(50_000), readFile, imported);
  readCrontab("f", `* * * * * ${"docker ".repeat(150_000)}`, readFile, imported);
  expect([reads, imported.jobs]).toEqual([1, []]);
});

test("a job that starts a registry itself is a registry that may be missing", () => {
  const run = "docker run -p 5010:5000 -e REGISTRY_PROXY_REMOTEURL=https://ghcr.io registry:2";
  const imported = new ImportedConfig();
  readCrontab("f", `@reboot ${run}\n@reboot docker start hub\n`, () => "", imported);
  const service = `services:\n  a: { image: "docker:dind", command: [sh, -c, "${run}"] }\n`;
  noteServiceJobs(new YamlSource("g", service), imported);
  expect(
    imported.warnings.map(({ from, consequence }) => `${from.file}:${from.line} ${consequence}`),
  ).toEqual(["f:1 registry", "g:2 registry"]);
});

test("services of a Compose file that restart the registries, or collect their garbage, are jobs", () => {
  const text = `services:
  hub:
    image: registry:2
    labels: { ofelia.job-exec.gc.command: "registry garbage-collect /etc/docker/registry/config.yml" }
  watch: { image: "docker:cli", command: ["sh", "-c", "while sleep 3600; do docker restart hub; done"] }
  gc: { image: "docker:cli", entrypoint: crond, labels: ["x=docker exec hub registry garbage-collect /c"] }
  once: { image: "registry:2", command: registry garbage-collect /c }
  web: { image: nginx, command: nginx -g x }
  none:
`;
  const imported = new ImportedConfig();
  noteServiceJobs(new YamlSource("c.yaml", text), imported);
  expect(imported.jobs.map(({ from, kind }) => `${from.line} ${from.what} ${kind}`)).toEqual([
    "4 services.hub.labels collects-garbage",
    "5 services.watch.command restarts",
    "6 services.gc.labels collects-garbage",
  ]);
  for (const odd of ["services: 1", "services: [a]", "[]", "a"]) {
    expect(() => noteServiceJobs(new YamlSource("c", odd), imported)).not.toThrow();
  }
});
