import { expect, test } from "bun:test";
import { importFiles } from "../import-files.ts";

const proxyOf = (host: string, port = 5000): string =>
  `docker run -p ${port}:5000 -e REGISTRY_PROXY_REMOTEURL=https://${host} registry:2\n`;

function warningsOf(text: string, names: Readonly<Record<string, string>> = {}): string[] {
  const { warnings } = importFiles({
    files: ["f"],
    readFile: () => text,
    secrets: { folder: undefined, readFile: () => "" },
    names: new Map(Object.entries(names)),
  });
  return warnings.map(({ message }) => message);
}

test.each([
  ["mirror.gcr.io", "docker.io"],
  ["registry.hub.docker.com", "docker.io"],
  ["abc123.mirror.aliyuncs.com", "docker.io"],
  ["0c10.mirror.swr.myhuaweicloud.com", "docker.io"],
  ["mirror.ccs.tencentyun.com", "docker.io"],
  ["f1361db2.m.daocloud.io", "docker.io"],
  ["docker.mirrors.ustc.edu.cn", "docker.io"],
  ["DOCKER.m.daocloud.io", "docker.io"],
  ["ghcr.nju.edu.cn", "ghcr.io"],
  ["k8s.m.daocloud.io", "registry.k8s.io"],
])("a proxy of %s gets a warning with the name that nodes use, %s", (host, registry) => {
  const name = host.toLowerCase();
  expect(warningsOf(proxyOf(host))).toEqual([
    `${name} is known as a mirror of ${registry}: if nodes pull ${registry} through it, import again with --name ${name}=${registry}`,
  ]);
  expect(warningsOf(proxyOf(host), { [name]: registry })).toEqual([]);
});

test("a mirror beside its registry cannot have its name", () => {
  expect(warningsOf(proxyOf("registry-1.docker.io") + proxyOf("mirror.gcr.io", 5010))).toEqual([
    "mirror.gcr.io is known as a mirror of docker.io: it can be one of the mirrors of docker.io instead",
  ]);
});

test.each([
  "registry-1.docker.io",
  "public.ecr.aws",
  "mirror.aliyuncs.com.evil.test",
  "aliyuncs.com",
])("%s is no mirror", (host) => expect(warningsOf(proxyOf(host))).toEqual([]));
