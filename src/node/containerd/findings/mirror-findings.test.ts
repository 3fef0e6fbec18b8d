import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { CertificateAuthority } from "../../../../test/harness/services/certificate-authority.ts";
import { realTest } from "../../../../test/harness/real-components.ts";
import { tempDir } from "../../../../test/harness/temp-dir.ts";
import { FakeFiles } from "../../nodetest/fake-files.ts";
import { readConfiguration } from "../config/configuration.ts";
import { readRegistryTables } from "../config/registry-tables.ts";
import { parseContainerdVersion, traitsOf } from "../traits.ts";
import { mirrorFindings } from "./mirror-findings.ts";

realTest("the certificate of a mirror has to chain to the CA in its hosts.toml", async () => {
  await using dir = await tempDir("mirror");
  const [right, wrong] = [
    new CertificateAuthority(dir, "right"),
    new CertificateAuthority(dir, "wrong"),
  ];
  await right.make();
  await wrong.make();
  const { certificateFile, keyFile } = await right.sign("mirror", "IP:127.0.0.1");
  const [cert, key] = [readFileSync(certificateFile), readFileSync(keyFile)];
  await using server = Object.assign(
    Bun.serve({ port: 0, tls: { cert, key }, fetch: () => new Response("{}") }),
    { [Symbol.asyncDispose]: () => server.stop(true) },
  );
  const url = `https://127.0.0.1:${server.port}`;
  const traits = traitsOf(parseContainerdVersion("1.7.24") ?? expect.unreachable());
  const main = "/etc/containerd/config.toml";
  const found = async (fields: string): Promise<string[]> => {
    const files = new FakeFiles({
      [main]: `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/c"\n`,
      "/c/ghcr.io/hosts.toml": `[host."${url}"]\n${fields}`,
      "/right.pem": await right.certificate(),
      "/wrong.pem": await wrong.certificate(),
    });
    const tables = readRegistryTables(readConfiguration(files, main, traits), traits);
    return (await mirrorFindings(files, tables, traits)).map(({ code }) => code);
  };
  expect(await found(`ca = "/right.pem"\n`)).toEqual([]);
  expect(await found(`ca = ["/wrong.pem", "/right.pem"]\n`)).toEqual([]);
  expect(await found(`ca = "/wrong.pem"\n`)).toEqual(["mirror-tls"]);
  expect(await found(`ca = "/wrong.pem"\nskip_verify = true\n`)).toEqual([]);
  expect(await found("")).toEqual([]);
});
