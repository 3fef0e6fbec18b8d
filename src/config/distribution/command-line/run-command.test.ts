import { expect, test } from "bun:test";
import { homedir } from "node:os";
import {
  type GivenFiles,
  importGiven,
  importProblems,
  upstreamsIn,
} from "../../configtest/import-text.ts";

const REMOTE = "-e REGISTRY_PROXY_REMOTEURL=https://ghcr.io";
const OPTIONS = `-p 5010:5000 ${REMOTE}`;

const upstreamsOf = (script: string, others: GivenFiles): unknown =>
  upstreamsIn(importGiven({ "start.sh": script, ...others }));

const CONFIG = "version: 0.1\nproxy: { remoteurl: https://quay.io }\n";

test.each([
  [`-v $(pwd)/conf/config.yml:/etc/docker/registry/config.yml registry:2`],
  [`-v \`pwd\`/conf/config.yml:/etc/docker/registry/config.yml:ro registry:2`],
  [`-v \${PWD}/conf/config.yml:/x.yml registry:2 serve /x.yml`],
  [`-v "$PWD"/conf/config.yml:/x.yml registry:2 /x.yml`],
  [`-v conf/config.yml:/x.yml registry:2 /x.yml`.replace("conf/", "./conf/")],
  [`-v ./conf:/etc/docker/registry/ registry:2`],
  [`-v $DIR/conf:/etc/distribution:ro registry:3`],
  [`--mount type=bind,src="$DIR"/conf,dst=/c registry:2 registry serve /c/config.yml`],
  [`--entrypoint registry -v ./conf:/c registry:2 serve /c/config.yml`],
  [`-e REGISTRY_CONFIGURATION_PATH=/c/config.yml -v ./conf:/c registry:2 serve`],
  [`--entrypoint '["/bin/registry","serve","/c/config.yml"]' -v ./conf:/c mine/cache:1`],
])("a configuration is found: %j", (options) => {
  const script = `DIR="$(cd "$(dirname "$0")" && pwd)"\ndocker run -p 5020:5000 ${options}\n`;
  expect(upstreamsOf(script, { "conf/config.yml": CONFIG })).toEqual({ "quay.io": { port: 5020 } });
});

test.each([
  '"$(cat /etc/hub password)"',
  "$(cat /etc/hub-password)",
  '"`cat /etc/hub-password`"',
  "$(< '/etc/hub-password')",
])("a password that a command reads from a file stays in the file: %s", (password) => {
  const script = `docker run ${OPTIONS} -e REGISTRY_PROXY_USERNAME=u -e REGISTRY_PROXY_PASSWORD=${password} registry:2\n`;
  if (password.includes("hub password")) {
    expect(importProblems({ "start.sh": script })).toContain("takes its value from a variable");
    return;
  }
  const auth = { username: "u", passwordFile: "/etc/hub-password" };
  expect(importGiven({ "start.sh": script }).value).toMatchObject({
    upstreams: { "ghcr.io": { auth } },
  });
});

test("a variable without a value has the one that the script exports", () => {
  const script = `export REGISTRY_PROXY_USERNAME=u P=1\nREGISTRY_PROXY_TTL=1h
REGISTRY_PROXY_PASSWORD=p docker run ${OPTIONS} -e REGISTRY_PROXY_USERNAME -e REGISTRY_PROXY_PASSWORD registry:2\n`;
  expect(importGiven({ "start.sh": script }).value).toMatchObject({
    upstreams: { "ghcr.io": { auth: { username: "u", password: "p" } } },
  });
  const inherited = `REGISTRY_PROXY_TTL=1h\ndocker run ${OPTIONS} -e REGISTRY_PROXY_TTL registry:2\n`;
  expect(importProblems({ "start.sh": inherited })).toContain(
    "takes its value from the environment",
  );
});

test("a file of variables is read, and options override it", () => {
  const env = `# the cache\nREGISTRY_PROXY_REMOTEURL=https://quay.io\n\nREGISTRY_PROXY_TTL="1h"\n`;
  const script = `docker run --env-file ./a.env -e REGISTRY_PROXY_TTL=2h registry:2\n`;
  const imported = importGiven({ "start.sh": script, "a.env": env });
  expect(upstreamsIn(imported)).toEqual({ "quay.io": { maxAge: "2h" } });
});

test.each([
  ["DATA=/srv/x", "$DATA/hub", "/srv/x/hub"],
  ["", "~/hub", `${homedir()}/hub`],
  ["", "${HOME}/hub", `${homedir()}/hub`],
  ["", "../hub", "/hub"],
  ["DATA=$(mktemp -d)", "$DATA/hub", undefined],
  ["", "~other/hub", undefined],
  ["cd /srv/a; cd ../b", "./hub", "/srv/b/hub"],
  ["cd /srv/a", "$PWD/hub", "/srv/a/hub"],
  ['cd "$(dirname "$0")"', "$(pwd)/hub", "/in/hub"],
  ["cd", "./hub", `${homedir()}/hub`],
  ["(cd /srv/a)", "./hub", undefined],
  ["cd $X", "./hub", undefined],
  ["cd $X", "$PWD/hub", undefined],
  ["cd $X; cd /a", "./hub", "/a/hub"],
])("after %j, the data folder %s is %s", (before, source, folder) => {
  const script = `${before}\ndocker run -v ${source}:/var/lib/registry ${OPTIONS} registry:2\n`;
  const { adoptable, warnings } = importGiven({ "start.sh": script });
  expect(adoptable.map(({ data }) => data)).toEqual(folder === undefined ? [] : [{ folder }]);
  expect(warnings.map(({ message }) => message)).toEqual(
    folder === undefined ? [expect.stringMatching(/^where its data is, .*hub, is not known/)] : [],
  );
});
