import { expect, test } from "bun:test";
import { filesOf, configErrorOf } from "./configtest/load-text.ts";
import { importFiles } from "./import-files.ts";
import { loadSettings } from "./load.ts";
import { readText } from "./parsing/read-text.ts";

/** What `--config` says of a file with this text. */
function complaint(text: string, name = "old.yaml"): string {
  return configErrorOf(() =>
    loadSettings({ flags: { config: name }, readFile: filesOf({ [name]: text }) }),
  );
}

const foreign: [title: string, text: string][] = [
  ["a Compose file", "services: { hub: { image: 'registry:2' } }\n"],
  ["a Compose file", "# docker run\nversion: '3'\nservices:\n  hub:\n    image: nginx\n"],
  ["a Quadlet unit of Podman", "[Container]\nImage=registry:2\n"],
  ["a file of Ansible tasks", "---\n# Caches\n- hosts: all\n  tasks: []\n"],
  ["a values file of the chart docker-registry", "proxy: { enabled: true, remoteurl: x }\n"],
  ["a template of a Helm chart", "kind: {{ .Values.kind }}\n"],
  ["a unit of systemd", "[Service]\nExecStart=/usr/bin/docker run registry:2\n"],
  ["a Kubernetes manifest", "apiVersion: apps/v1\nkind: Deployment\n---\nkind: Service\n"],
  ["a config.yml of a registry", "version: 0.1\nproxy: { remoteurl: https://ghcr.io }\n"],
];

test.each(foreign)("%s given as configuration leads to import (%#)", (title, text) => {
  expect(complaint(text)).toBe(
    `old.yaml:1:1: is ${title}, not an entrepot.yaml: convert it with entrepot import old.yaml --output entrepot.yaml`,
  );
});

test("a crontab given as configuration leads to import, which says what to remove", () => {
  expect(complaint("0 4 * * * docker restart hub\n", "crontab.txt")).toBe(
    "crontab.txt:1:1: is a crontab, or a timer or job of systemd, not an entrepot.yaml: entrepot import crontab.txt says what to remove from it",
  );
});

test("a script given as configuration leads to import, and its name is quoted", () => {
  expect(complaint("#!/bin/sh\ndocker run -d registry:2\n", "my caches.sh")).toBe(
    "my caches.sh:1:1: is a script with `docker run` command lines, not an entrepot.yaml: convert it with entrepot import 'my caches.sh' --output entrepot.yaml",
  );
});

test.each([
  ["listn: 5000\n", 'old.yaml:1:1: unknown key "listn": did you mean "listen"?'],
  ["listen: [\n", "the indentation is wrong"],
  ["upstreams: { ghcr.io: }\nservices: {}\n", 'unknown key "services"'],
  ["hello: world\n", 'unknown key "hello"'],
])("a configuration with a mistake is told its mistake (%#)", (text, message) => {
  expect(complaint(text)).toContain(message);
});

test("an entrepot.yaml given to import is said to be one already", () => {
  const name = "it's mine.yaml";
  const readFile = filesOf({ [name]: "listen: 0.0.0.0:5000\nupstreams: { ghcr.io: }\n" });
  const secrets = { folder: undefined, readFile: readText };
  expect(
    configErrorOf(() => importFiles({ files: [name], readFile, secrets, names: new Map() })),
  ).toBe(
    `${name}:1:1: is an entrepot.yaml already: nothing has to be converted. Check it with: entrepot doctor --config 'it'\\''s mine.yaml'`,
  );
});
