import { expect, test } from "bun:test";
import {
  type GivenFiles,
  importGiven,
  importProblems,
  upstreamsIn,
} from "../../configtest/import-text.ts";

const REMOTE = "-e REGISTRY_PROXY_REMOTEURL=https://ghcr.io";
const OPTIONS = `-p 5010:5000 ${REMOTE}`;

/** Ports of the upstreams that a script makes. */
function portsOf(script: string, others: GivenFiles = {}): Record<string, unknown> {
  const imported = importGiven({ "start.sh": script, ...others });
  return Object.fromEntries(
    Object.entries(upstreamsIn(imported)).map(([name, entry]) => [
      name,
      name === "docker.io" ? imported.value["listen"] : (Object(entry) as { port?: number }).port,
    ]),
  );
}

test.each([
  `podman run --replace ${OPTIONS} registry:2`,
  `podman run -d --replace --name registry ${OPTIONS} docker.io/library/registry:2`,
  `podman create --name ghcr ${OPTIONS} registry:2`,
  `/usr/bin/docker run -d ${OPTIONS} registry:2`,
  `sudo -u root /usr/local/bin/docker run -d ${OPTIONS} registry:2`,
  `docker container run -d ${OPTIONS} registry:2`,
  `docker container create ${OPTIONS} registry:3`,
  `nerdctl --namespace x run -d ${OPTIONS} registry:2`,
  `nerdctl -n=x --debug-full run -d ${OPTIONS} registry:2`,
  `docker --context far -H unix:///run/docker.sock run -d ${OPTIONS} registry:2`,
  `docker --tls --config /root/.docker -l debug container run ${OPTIONS} registry:2`,
  `podman --root /srv/podman --log-level debug run ${OPTIONS} registry:2`,
  `docker run --rm --env-host --no-hosts --rmi --tls-verify ${OPTIONS} registry:2`,
  `docker run --some-new-flag ${OPTIONS} -- registry:2`,
  `docker run ${OPTIONS} --some-new-flag registry:2`,
  `docker run -dit${OPTIONS} registry:2`.replace("-dit-p 5010", "-ditp5010"),
  `docker run --publish=5010:5000 --env=REGISTRY_PROXY_REMOTEURL=https://ghcr.io registry`,
  `exec nohup docker run ${OPTIONS} registry:2 > /var/log/x 2>&1 &`,
  `ID=$(hostname) docker run ${OPTIONS} -l id=$ID registry:2`,
  `if ! docker ps | grep -q ghcr; then docker run ${OPTIONS} registry:2; fi`,
  `docker rm -f ghcr || true && docker run ${OPTIONS} registry:2`,
  `bash -c "docker run ${OPTIONS} registry:2"`,
  `ssh -p 22 root@cache 'docker run -d ${OPTIONS} registry:2'`,
  `docker run -d \\\n  -p 5010:5000 \\\n  ${REMOTE} \\\n  registry:2`,
  `docker run -d \\\r\n ${OPTIONS} \\\r\n registry:2\r\n`,
  `( docker run ${OPTIONS} registry:2 )`,
  `{ docker run ${OPTIONS} registry:2; }`,
  `echo "docker run is next"; docker run ${OPTIONS} registry:2 # docker run registry:2`,
  `cat <<EOF\ndon't\nEOF\ndocker run ${OPTIONS} registry:2`,
  `ID=$(docker run -d ${OPTIONS} registry:2)`,
  `export ID="$(docker run -d ${OPTIONS} registry:2)"`,
  `ID=\`docker run -d ${OPTIONS} registry:2\``,
  `if ! out="$(docker run -d ${OPTIONS} -l "a=)" registry:2 2>&1)"; then exit 1; fi`,
  `echo "started $(cd /x; docker run -d ${OPTIONS} registry:2)"`,
  `IDS=($(hostname) $(docker run -d ${OPTIONS} registry:2))`,
  `for id in $(docker run -d ${OPTIONS} registry:2); do docker logs $id; done`,
  `cat <(docker run ${OPTIONS} registry:2)`,
  `ID=\${ID:-"\${OLD-$(docker run ${OPTIONS} registry:2)}"}`,
  `echo "$(echo "can't")"\ndocker run ${OPTIONS} registry:2`,
  `X=$(echo 1 # don't)\n)\ndocker run ${OPTIONS} registry:2`,
  `X=$(cat <<-'EOF'\n\tdon't :)\n\tEOF\n)\ndocker run ${OPTIONS} registry:2`,
])("a registry is found in %j", (script) => {
  expect(portsOf(`#!/bin/sh\n${script}\n`)).toEqual({ "ghcr.io": 5010 });
});

const THREE = { "docker.io": "0.0.0.0:5000", "ghcr.io": 5010, "quay.io": 5020 };
const url = `-e REGISTRY_PROXY_REMOTEURL`;

test.each([
  `OPTS="-d --restart always"
HUB=registry-1.docker.io IMAGE=registry:2; PORT=5000
docker run $OPTS -p $PORT:5000 ${url}="https://$HUB" \${IMAGE}
PORT=$((PORT + 10))
docker run $OPTS -p "\${PORT}:5000" ${url}=https://ghcr.io "$IMAGE"
PORT=$((PORT+10))
docker run \${OPTS} -p \${PORT:-1}:5000 ${url}=https://\${Q:-quay.io} $IMAGE`,
  `OPTS=(-d --restart always)
OPTS+=( --name 'a b' )
docker run "\${OPTS[@]}" -p 5000:5000 ${url}=https://registry-1.docker.io registry:2
docker run "\${OPTS[@]}" -p 5010:5000 ${url}=https://ghcr.io registry:2
docker run \${OPTS[*]} -p 5020:5000 ${url}=https://quay.io registry:2`.replace("'a b'", "ab"),
  `port=5000
for host in registry-1.docker.io ghcr.io quay.io; do
  docker run -d -p $port:5000 ${url}=https://$host registry:2
  port=$((port + 10))
done`,
  `start() {
  local name=$1 port=$2
  docker run -d --name "$name" -p "$port:5000" ${url}="https://$3" registry:2
}
start hub 5000 registry-1.docker.io
start ghcr 5010 ghcr.io
start quay 5020 quay.io`,
  `function run_all
{
  for entry in "$@"; do docker run -p 5000:5000 ${url}=https://$entry registry:2; done
}
run_all registry-1.docker.io
docker run -p 5010:5000 ${url}=https://ghcr.io registry:2; docker run -p 5020:5000 ${url}=https://quay.io registry:2`,
  `declare -A URL=([hub]=https://registry-1.docker.io ["ghcr"]=https://ghcr.io)
URL[quay]=https://quay.io
ports=(5000 5010 5020); i=0
for name in hub ghcr quay; do
  docker run -p \${ports[$i]}:5000 ${url}="\${URL[$name]}" registry:2
  i=$((i+1))
done`.replace('["ghcr"]', "[ghcr]"),
  `for entry in 5000=registry-1.docker.io 5010=ghcr.io 5020=quay.io; do
  docker run -p \${entry%%=*}:5000 ${url}=https://\${entry#*=} registry:2
done`,
  `declare -A PORT=([registry-1.docker.io]=5000 [ghcr.io]=5010 [quay.io]=5020)
for host in "\${!PORT[@]}"; do docker run -p \${PORT[$host]}:5000 ${url}=https://$host registry:2; done`,
  `start() { name=$1; shift; docker run -d --name $name "$@"; }
start hub -p 5000:5000 ${url}=https://registry-1.docker.io registry:2
run() {
  local url="$1" port=$2
  shift 2
  docker run "$@" -p $port:5000 -e REGISTRY_PROXY_REMOTEURL=$url registry:2
}
run https://ghcr.io 5010 --restart always
run https://quay.io 5020`,
  `set -- 5000=registry-1.docker.io 5010=ghcr.io 5020=quay.io
for entry; do docker run -p \${entry%=*}:5000 ${url}=https://\${entry##*=} registry:2; done`,
  `. ./settings.env
docker run -p $A:5000 ${url}=https://registry-1.docker.io $IMAGE
docker run -p $B:5000 ${url}=https://ghcr.io $IMAGE
docker run -p $C:5000 ${url}=https://quay.io $IMAGE`,
  `case "$1" in
start) docker run -p 5000:5000 ${url}=https://registry-1.docker.io registry:2 ;;
*) docker run -p 5010:5000 ${url}=https://ghcr.io registry:2
   docker run -p 5020:5000 ${url}=https://quay.io registry:2 ;;
esac`,
])("constants of a script are replaced (%#)", (script) => {
  const settings = "A=5000\nexport B='5010' C=5020\nIMAGE=registry:2\n";
  expect(portsOf(`#!/bin/bash\nset -e\n${script}\n`, { "settings.env": settings })).toEqual(THREE);
});

/** Scripts that start a registry in a way that is not known, and the line of the message. */
const unknown: [script: string, line: number, message: string][] = [
  [`docker run "\${OPTS[@]}" registry:2`, 2, "has options in ${OPTS[@]}"],
  [`docker run $OPTS -p 5000:5000 registry:2`, 2, "has options in $OPTS"],
  [`OPTS=$(cat opts)\n\ndocker run $OPTS registry:2`, 4, "has options in $OPTS"],
  [`docker run $(cat opts) registry:2`, 2, "has options in $(cat opts)"],
  [`docker run -d $IMAGE`, 2, "the image of this container, $IMAGE"],
  [`docker run -d "$IMAGE" serve /x.yml`, 2, "the image of this container, $IMAGE, is not known"],
  [`$DOCKER run -d \${IMAGE}:2`, 2, "the image of this container, ${IMAGE}:2, is not known"],
  [`docker run "$@"`, 2, "the image of this container"],
  [
    `for h in $(cat hosts); do\n docker run ${url}=https://$h registry:2\ndone`,
    3,
    "takes its value from a variable",
  ],
  [
    `while read -r h port; do\n docker run ${url}=https://$h registry:2\ndone < hosts`,
    3,
    "takes its value from a variable",
  ],
  [`start() {\n docker run ${url}=https://$1 registry:2\n}`, 3, "takes its value from a variable"],
  [
    `H=a.io\nif [ -f x ]; then H=b.io; fi\ndocker run ${url}=https://$H registry:2`,
    4,
    "takes its value from a variable",
  ],
  [
    `H=a.io\n[ -f x ] && H=b.io\ndocker run ${url}=https://$H registry:2`,
    4,
    "takes its value from a variable",
  ],
  [
    `H=a.io\nwhile true; do\ndocker run ${url}=https://$H registry:2\nH=b.io\ndone`,
    4,
    "takes its value from a variable",
  ],
  [
    `P=$(port)\ndocker run -p \${P:-5000}:5000 ${REMOTE} registry:2`,
    3,
    "its port depends on ${P:-5000}",
  ],
  [`. ./gone\ndocker run -p \${P:-5000}:5000 ${REMOTE} registry:2`, 3, "its port depends on"],
  [
    `f() {\n while [ $# -gt 0 ]; do shift; done\n docker run "$@"\n}\nf registry:2`,
    4,
    "the image of this container, $@, is not known",
  ],
  [`read P\ndocker run -p \${P:-5000}:5000 ${REMOTE} registry:2`, 3, "its port depends on"],
  [`H=a.io\n. ./gone\ndocker run ${url}=https://$H registry:2`, 4, "takes its value from a var"],
  [`P=50$((RANDOM))\ndocker run -p $P:5000 ${REMOTE} registry:2`, 3, "its port depends on $P"],
  [`docker service create --name hub -p 5000:5000 registry:2`, 2, "may start a registry"],
  [`kubectl run hub --image-env REGISTRY_PROXY_REMOTEURL=x`, 2, "may start a registry"],
  [`ctr run docker.io/library/registry:2 hub`, 2, "may start a registry"],
  [`cat > c.yml <<X\nservices: { hub: { \n  image: registry:2 } }\nX\nmake`, 3, "this text starts"],
  [`docker run --env-file <(env) -e X=1 registry:2`, 2, "the path <(env) is not known"],
  [`docker run -p 1:2 x -e ${url.slice(3)}=https://a.io registry:2`, 2, "seems to be x"],
  [`docker run --env-file a.env registry:2`, 2, "a.env does not exist"],
  [`docker run registry:2 serve /x.yml`, 2, "its configuration /x.yml is inside the image"],
  [`docker run registry:2 /x.yml`, 2, "its configuration /x.yml is inside the image"],
  [`docker run -v conf:/etc/distribution registry:3`, 2, "is in the volume conf"],
  [`docker run -v $CONF:/x.yml registry:2 /x.yml`, 2, "is at $CONF, a path that is not known"],
  [
    `docker run --entrypoint sh registry:2 -c 'A=b exec registry serve $CONF'`,
    2,
    "is a shell script",
  ],
];

test.each(unknown)("what is not known is an error: %j", (script, line, message) => {
  const known = "docker run -e REGISTRY_PROXY_REMOTEURL=https://known.io registry:2";
  const problems = importProblems({ "start.sh": `${known}\n${script}\n` }).split("\n");
  expect(problems).toHaveLength(1);
  expect(problems[0]).toStartWith(`start.sh:${line}:1: `);
  expect(problems[0]).toContain(message);
});

test.each([
  ["docker run corp/registry:1", "may be a registry with its settings inside the image"],
  ["docker compose -f x.yml up -d", "import that file as well"],
  ["sudo docker-compose up -d", "import that file as well"],
  ["docker stack deploy -c x.yml hub", "import that file as well"],
  ["podman kube play registry.yaml", "import that file as well"],
  ["helm install hub twuni/docker-registry", "import its manifest or its values"],
  ["kubectl apply -f registry.yaml", "import its manifest or its values"],
  ["registry serve /etc/x.yml &", "starts a registry without a container"],
])("what may start further registries is a warning: %s", (command, message) => {
  const { warnings } = importGiven({
    "start.sh": `docker run ${OPTIONS} registry:2\n${command}\n`,
  });
  expect(
    warnings.map(({ from, consequence, message: text }) => [from.line, consequence, text]),
  ).toEqual([[2, "registry", expect.stringContaining(message)]]);
});

test("commands that start no registry are ignored", () => {
  const script = `docker pull registry:2; docker rm -f registry; docker stop registry
docker run -d nginx; docker run $OPTS nginx; echo registry:2; docker exec registry registry gc
IMAGES="registry:2 nginx"; docker volume create registry; docker run ${OPTIONS} registry:2
docker run registry:2 garbage-collect /etc/docker/registry/config.yml
docker run --entrypoint registry registry:2 garbage-collect /x.yml; test registry:2 = x
docker run skopeo copy docker://a docker://b; docker run trivy image registry:2
wait-for-it registry:5000; ctr images pull docker.io/library/registry:2; docker compose down
cosign verify registry:2; kubectl apply -f web.yaml; envsubst '$REGISTRY_PROXY_REMOTEURL' < a
`;
  expect(portsOf(script)).toEqual({ "ghcr.io": 5010 });
});

test("a script without an end, or with too many steps, is no endless loop", () => {
  const calls = Array.from(
    { length: 12 },
    (_, index) => `f${index}() { f${index + 1}; f${index + 1}; f${index + 1}; f${index + 1}; }`,
  );
  const many = `${calls.join("\n")}\nf0\ndocker run ${OPTIONS} registry:2\n`;
  expect(importProblems({ "start.sh": many })).toContain("too many commands to follow");
  const loops = `${"for i in 1 2 3 4 5 6 7 8 9; do\n".repeat(12)}${"done\n".repeat(12)}`;
  expect(importProblems({ "start.sh": loops })).toContain("too many commands to follow");
  const deep = `${"if true; then\n".repeat(30)}docker run ${OPTIONS} registry:2\n${"fi\n".repeat(30)}`;
  expect(portsOf(deep)).toEqual({ "ghcr.io": 5010 });
  const recursive = `f() { f; docker run ${OPTIONS} registry:2; }\nf\n`;
  expect(importProblems({ "start.sh": recursive })).toContain("is already configured");
  for (const open of [
    "$(",
    "`",
    "'",
    '"',
    "${",
    "(",
    "x=(",
    "$((",
    "<<E\n",
    "f() {",
    "case x in",
  ]) {
    const text = `docker run ${OPTIONS} registry:2\n${open.repeat(20_000)}`;
    expect(importProblems({ "start.sh": text })).toBe("");
  }
});

test("a command inside a word has its own line, and what it sets ends with it", () => {
  const script = `PORT=5010\nX="a\n$(PORT=1; docker run -p $PORT:5000 ${REMOTE} registry:2)"\n`;
  const hub = `docker run -p $PORT:5000 -e REGISTRY_PROXY_REMOTEURL=https://quay.io registry:2`;
  expect(portsOf(`#!/bin/sh\n${script}${hub}\n`)).toMatchObject({ "ghcr.io": 1, "quay.io": 5010 });
  expect(importProblems({ "a.sh": `#!/bin/sh\nX="a\n$(\ndocker run -e X registry:2)"` })).toContain(
    "a.sh:4",
  );
});

const HUB = `docker run -p 5000:5000 -e REGISTRY_PROXY_REMOTEURL=https://registry-1.docker.io registry:2`;

test.each([
  ["cat > g.container <<EOF\n[Container]\nImage=docker.io/library/registry:2\nEOF\n"],
  ["cat > g.service <<EOF\n[Service]\nExecStart=docker run registry:2\nEOF\n"],
  ["cat > compose.yml <<EOF\nservices:\n  a:\n    image: registry:2\nEOF\n"],
])("a text that a script writes is not taken for the whole file: %j", (document) => {
  for (const first of [`# a script\n${HUB}\n`, `A=1\n\n`]) {
    expect(importProblems({ "start.sh": `${first}${document}` })).toBe(
      `start.sh:4:1: this text starts containers: import it as a file of its own`,
    );
  }
});
