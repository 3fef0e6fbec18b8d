import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { run } from "./harness/processes.ts";
import { tempDir } from "./harness/temp-dir.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

// None of the files that it names is here.
const CONFIG = `plainCredentials: true
tls: { certificate: /etc/entrepot/tls.crt, key: /etc/entrepot/tls.key }
clients:
  htpasswdFile: /etc/entrepot/htpasswd
  jwt:
    - { name: kubernetes, issuer: "https://kubernetes.default.svc", audience: entrepot, jwksFile: jwks.json }
  rules:
    - { principals: ["user:alice", "kubernetes:team-a/*"], repositories: ["ghcr.io/org/**"], effect: allow }
    - { principals: ["**"], repositories: ["ghcr.io/org/secret/**"], effect: deny }
upstreams:
  docker.io: { auth: { username: me, passwordFile: /etc/entrepot/password } }
  quay.io: { access: upstream, deny: [bad/**] }
  ghcr.io:
    access:
      - { repositories: [org/closed], access: denied }
      - { repositories: [org/**], access: clients }
`;

async function access(files: Record<string, string>, ...args: string[]) {
  await using folder = await tempDir();
  const all = Object.entries({ "e.yaml": CONFIG, ...files });
  await Promise.all(all.map(([name, text]) => writeFile(`${folder.path}/${name}`, text)));
  const { code, stdout, stderr } = await run([PROGRAM, "access", ...args], {
    cwd: folder.path,
    env: { ...process.env, ENTREPOT_CONFIG: "e.yaml" },
  });
  return { code, text: `${stdout}${stderr}` };
}

test("access explain says what decides", async () => {
  const { code, text } = await access({}, "explain", "user:bob", "ghcr.io/org/app");
  expect({ code, text }).toEqual({
    code: 1,
    text: "user:bob may not pull ghcr.io/org/app\naccess: clients (e.yaml:16:9): no rule allows it\n",
  });
});

test("access explain --json", async () => {
  const { code, text } = await access({}, "explain", "user:alice", "ghcr.io/org/a", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(text)).toEqual({
    principal: "user:alice",
    image: "ghcr.io/org/a",
    verdict: "allow",
    access: "clients",
    accessFrom: "e.yaml:16:9",
    rule: { number: 1, effect: "allow", from: "e.yaml:8:7" },
    why: "rule 1 (e.yaml:8:7) allows it",
  });
});

test("access test shows each case, and fails if one is not as expected", async () => {
  const good = `- { principal: "user:alice", image: ghcr.io/org/app, expect: allow }
- { principal: anonymous, image: "quay.io/a/b:1", expect: upstream }
`;
  const all = await access({ "cases.yaml": good }, "test", "cases.yaml");
  expect(all).toEqual({
    code: 0,
    text: `    PRINCIPAL   IMAGE            EXPECTED  FOUND     BECAUSE
ok  user:alice  ghcr.io/org/app  allow     allow     access: clients (e.yaml:16:9): rule 1 (e.yaml:8:7) allows it
ok  anonymous   quay.io/a/b      upstream  upstream  access: upstream (e.yaml:12:22): quay.io decides: it may if it is public there
All 2 cases are as expected.
`,
  });
  const bad = `${good}- { principal: "user:bob", image: ghcr.io/org/app, expect: allow }\n`;
  const one = await access({ "cases.yaml": bad }, "test", "cases.yaml");
  expect(one.code).toBe(1);
  expect(one.text).toContain(`
FAILED  user:bob    ghcr.io/org/app  allow     refuse    access: clients (e.yaml:16:9): no rule allows it
cases.yaml:3:3: expected allow, and found refuse
1 of 3 cases failed.
`);
  const json = await access({ "cases.yaml": bad }, "test", "cases.yaml", "--json");
  expect(json.code).toBe(1);
  const { failed, cases } = JSON.parse(json.text);
  expect({ failed, passed: cases.map(({ passed }: { passed: boolean }) => passed) }).toEqual({
    failed: 1,
    passed: [true, true, false],
  });
});

test.each([
  [["explain", "alice", "nginx"], {}, '"alice" is no principal: write what it is known by'],
  [
    ["test", "c.yaml"],
    { "c.yaml": '- { principal: a, image: "b c", expect: yes }' },
    'c.yaml:1:41: [0].expect: must be one of "allow", "refuse", "upstream"',
  ],
])("access %j is refused", async (args, files, message) => {
  const { code, text } = await access(files, ...args);
  expect(code).toBe(2);
  expect(text).toContain(message);
});
