import { expect, test } from "bun:test";
import { importTable } from "../configtest/import-table.ts";
import { configErrorOf } from "../configtest/load-text.ts";

/** A play with one task: a container of registry:2 with these options, and this beside it. */
const task = (options: string, beside = ""): string =>
  `- hosts: all
  tasks:
    - name: Cache
      docker_container: { name: hub, image: "registry:2", ${options} }
${beside === "" ? "" : `      ${beside}\n`}`;

const URL = 'env: { REGISTRY_PROXY_REMOTEURL: "https://ghcr.io" }';
const tasksOf = (text: string) => importTable({ "/in/a.yml": text });

test.each([
  task(`${URL}, ports: ["5010:5000"]`),
  task(`${URL}, ports: "5010:5000,9000:9000"`),
  task(`${URL}, network_mode: host, command: [serve, /etc/docker/registry/config.yml]`).replace(
    "REGISTRY_PROXY_REMOTEURL",
    'REGISTRY_HTTP_ADDR: ":5010", REGISTRY_PROXY_REMOTEURL',
  ),
  "- docker_container: name=hub image=registry:2 published_ports=5010:5000 env='REGISTRY_PROXY_REMOTEURL=https://ghcr.io'\n",
  `- block:\n    - containers.podman.podman_container:\n        image: registry:2\n        publish: ["5010:5000"]\n        ${URL}\n  when: true\n`,
  "- ansible.builtin.shell:\n    cmd: |\n      docker rm -f hub\n      docker run -d -p 5010:5000 -e REGISTRY_PROXY_REMOTEURL=https://ghcr.io registry:2\n",
  `- set_fact: { cache: { port: 5010 } }\n- docker_container: { image: "registry:2", ports: ["{{ cache.port }}:5000"], ${URL} }\n`,
  `- docker_container: { image: "registry:2", ports: ["{{ item.value }}:5000"], ${URL} }\n  with_dict: { ghcr: 5010 }\n`,
  `- copy: { content: "services: { a: { image: registry:2, ports: ['5010:5000'], environment: { REGISTRY_PROXY_REMOTEURL: https://ghcr.io } } }", dest: /srv/a/compose.yml }\n- community.docker.docker_compose_v2: { project_src: /srv/a }\n`,
  `- kubernetes.core.k8s:\n    definition:\n      kind: Pod\n      spec: { containers: [{ image: "registry:2", ports: [{ containerPort: 5000, hostPort: 5010 }], env: [{ name: REGISTRY_PROXY_REMOTEURL, value: "https://ghcr.io" }] }] }\n`,
])("a registry of tasks is imported (%#)", (text) => {
  expect(tasksOf(text).value["upstreams"]).toMatchObject({ "ghcr.io": { listen: "0.0.0.0:5010" } });
});

test.each([
  [
    task(URL, 'loop: "{{ groups.all }}"'),
    "/in/a.yml:3:7: hub: loops over {{ groups.all }}, whose value is not known: write the list out",
  ],
  [
    task('env: { REGISTRY_PROXY_REMOTEURL: "{{ url }}" }'),
    "/in/a.yml:4:92: env.REGISTRY_PROXY_REMOTEURL: takes its value from a variable: write the value out ({{ url }} is not known)",
  ],
  [
    task('env: "{{ settings }}"'),
    "/in/a.yml:4:64: env: takes its value from {{ settings }}, which is not known: write it out",
  ],
  [
    task(`${URL}, ports: ["{{ port }}:5000"]`),
    "ports: its port depends on {{ port }}, whose value is not known: write it out",
  ],
  [
    task(`${URL}, volumes: "{{ volumes }}"`),
    "volumes: takes its value from {{ volumes }}, which is not known: write it out",
  ],
  [
    '- docker_container: { name: registry, image: "{{ image }}" }\n',
    "/in/a.yml:1:46: registry: the image of this container, {{ image }}, is not known: write it out",
  ],
  [
    `- docker_container: { image: "registry:2", env: { REGISTRY_PROXY_REMOTEURL: "https://a.io", REGISTRY_PROXY_PASSWORD: !vault "$ANSIBLE_VAULT;1.1" } }\n`,
    "write the value out (a value of Ansible Vault is not known)",
  ],
  [
    "- copy: { content: 'version: 0.1, proxy: [', dest: /c.yml }\n- docker_container: { image: 'registry:2', volumes: ['/c.yml:/etc/docker/registry/config.yml'] }\n",
    "/in/a.yml:1:",
  ],
  [
    "- copy:\n    content: |\n      version: 0.1\n      proxy: { remoteurl: \"{{ url }}\" }\n    dest: /c.yml\n- docker_container: { image: 'registry:2', volumes: ['/c.yml:/etc/docker/registry/config.yml'] }\n",
    "/in/a.yml:4:21: proxy.remoteurl: takes its value from {{ url }}, which is not known",
  ],
  [
    "- hosts: all\n  tasks: [{ docker_container: { image: nginx } }]\n",
    "/in/a.yml:1:1: no task runs registry:2 or registry:3",
  ],
  [
    "- command: docker run registry:2 $OPTIONS\n  args: { chdir: /registry }\n",
    "not a pull-through cache",
  ],
  ["- hosts: all\n  tasks: [\n", "/in/a.yml:3:1: the indentation is wrong"],
])("what is not constant, or not valid, is an error with its line (%#)", (text, message) => {
  expect(configErrorOf(() => tasksOf(text))).toContain(message);
});

test("a task that removes a container, or never runs, is left out", () => {
  const text = `- docker_container: { image: "registry:2", state: absent }\n- docker_container: { image: "registry:2" }\n  when: false\n- docker_container: { image: "registry:2", ${URL} }\n`;
  const { value, unsupported } = tasksOf(text);
  expect([Object.keys(value["upstreams"] ?? {}), unsupported]).toEqual([["ghcr.io"], []]);
});

test("files that include each other, and roles that are not here, end", () => {
  const include = "- include_tasks: b.yml\n- include_role: { name: elsewhere }\n";
  const files = {
    "/in/a.yml": `${include}- docker_container: { image: "registry:2", ${URL} }\n`,
    "/in/b.yml": "- import_tasks: b.yml\n",
  };
  const { value, warnings } = importTable(files, ["/in/a.yml"]);
  expect(Object.keys(value["upstreams"] ?? {})).toEqual(["ghcr.io"]);
  expect(warnings.map(({ message }) => message)).toContainEqual(
    "the role elsewhere is not here: import its tasks too if it starts registries",
  );
});

test("what may have a registry is named if nothing is found, and a problem of a loop once", () => {
  const compose = "- docker_compose: { project_src: /opt/a }\n";
  expect(configErrorOf(() => tasksOf(compose))).toBe(
    `/in/a.yml:1:1: no task runs registry:2 or registry:3
/in/a.yml:1:19: docker_compose: starts containers that a Compose file describes: import that file as well`,
  );
  const loop = `- docker_container: { image: "registry:2", ports: ["{{ p }}:5000"], ${URL} }\n  loop: [1, 2]\n`;
  expect(configErrorOf(() => tasksOf(loop)).split("\n")).toEqual([
    "/in/a.yml:1:52: ports: its port depends on {{ p }}, whose value is not known: write it out",
    expect.stringContaining("ghcr.io is already configured"),
  ]);
});

test("what a template of a Compose file needs is named with its line", () => {
  const text =
    "- copy:\n    dest: /srv/a/compose.yml\n    content: |\n      services:\n      {% for r in all %}\n        a: { image: registry:2 }\n- docker_compose_v2: { project_src: /srv/a }\n";
  expect(configErrorOf(() => tasksOf(text))).toContain(
    "/in/a.yml:5:14: copy.content: has {% for r in all %}, whose value is not known: write it out",
  );
});

test("a written file that describes a registry, and that no task starts, is named", () => {
  const used = `- docker_container: { image: "registry:2", ports: ["5010:5000"], ${URL} }\n`;
  const written = (text: string): string =>
    `${used}- copy: { dest: /srv/x.yml, content: "${text}" }\n`;
  const lines = (text: string): string[] =>
    tasksOf(written(text)).warnings.map(({ from, message }) => `${from.line}: ${message}`);
  const advice = "2: describes a registry that no task here starts: import it as a file of its own";
  expect(lines("proxy: { remoteurl: 'https://quay.io' }")).toEqual([advice]);
  expect(
    lines("services: { a: { environment: [REGISTRY_PROXY_REMOTEURL=https://quay.io] } }"),
  ).toEqual([advice]);
  expect(lines("# remoteurl: https://quay.io")).toEqual([]);
});

test("more tasks than are followed are an error", () => {
  const files = { "/in/a.yml": "- include_tasks: a.yml\n- include_tasks: a.yml\n" };
  expect(configErrorOf(() => importTable(files))).toContain(
    "/in/a.yml:2:3: here are more than 2000 tasks: import the files alone that start registries",
  );
});

test("what a shell or Jinja could run stays data", () => {
  const password = String.raw`$(id)\u0060id\u0060\n'{{ 7 * 7 }}`;
  const text = task(
    `env: { REGISTRY_PROXY_REMOTEURL: "https://ghcr.io", REGISTRY_PROXY_USERNAME: u, REGISTRY_PROXY_PASSWORD: "${password}" }`,
  );
  expect(configErrorOf(() => tasksOf(text))).toContain(
    "REGISTRY_PROXY_PASSWORD: takes its value from a variable: write the value out",
  );
  const { value } = tasksOf(text.replace("{{ 7 * 7 }}", "x"));
  expect(value["upstreams"]).toMatchObject({ "ghcr.io": { auth: { password: "$(id)`id` 'x" } } });
});
