import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CertificateAuthority } from "../harness/services/certificate-authority.ts";
import { makeCertificate } from "../harness/services/certificates.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { mustRun, startProcess } from "../harness/processes.ts";
import { real, realTest } from "../harness/real-components.ts";
import { cachedImage } from "./cached-image.ts";
import { until } from "../harness/waiting.ts";
import { PROGRAM, entrepotNode, optionsFor } from "./program.ts";
import { LINES, isLong, startNode } from "./supervised.ts";
import { tree } from "./tree.ts";

setDefaultTimeout(60_000);

test.skipIf(!real.available)(
  "a --ca file without valid certificates is rejected with the reason, and nothing is written",
  async () => {
    await using dir = await tempDir("ca");
    const { certificateFile, certificate, key, keyFile } = await makeCertificate(dir);
    const root = dir.file("root");
    mkdirSync(root);
    const broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    const old = dir.file("old.pem");
    const expired = ["-in", certificateFile, "-signkey", keyFile, "-days", "-1", "-out", old];
    await mustRun(["openssl", "x509", ...expired]);
    const file = (name: string, text: string): string => {
      writeFileSync(dir.file(name), text);
      return dir.file(name);
    };
    const apply = (cache: string, ca: string) => {
      const desired = ["--cache", cache, "--ca", ca, "--upstream", "ghcr.io"];
      return entrepotNode(["apply", ...desired, "--root", root, "--containerd-version", "1.7.24"]);
    };
    const https = "https://cache:5000";
    for (const [cache, ca, message] of [
      [https, dir.file("none.pem"), "cannot be read: ENOENT"],
      [https, dir.path, "cannot be read: EISDIR"],
      [https, file("page.html", "<html></html>"), "contains no PEM certificate"],
      [https, file("both.pem", certificate + key), "contains a private key"],
      [https, file("broken.pem", broken), "contains a certificate that cannot be parsed"],
      [https, old, "CN=localhost expired on"],
      ["http://cache:5000", certificateFile, "--ca needs an https:// cache"],
    ] as const) {
      const { code, text } = await apply(cache, ca);
      expect({ code, text }).toEqual({ code: 2, text: expect.stringContaining(message) });
      expect(tree(root)).toEqual({});
    }
    expect(await apply(https, certificateFile)).toMatchObject({ code: 0 });
    expect(tree(root)["etc/containerd/entrepot-ca.pem"]).toBe(`644 ${certificate}`);
  },
);

describe.each(isLong ? LINES : (["2.1"] as const))("containerd %s", (line) => {
  realTest("is wired to a cache whose certificate has a private CA", async () => {
    await using dir = await tempDir("ca");
    const ca = new CertificateAuthority(dir, "ours");
    await ca.make();
    const otherCa = new CertificateAuthority(dir, "other");
    await otherCa.make();
    const { certificateFile, keyFile } = await ca.sign("cache", "IP:127.0.0.1");
    await using cached = await cachedImage({ certificate: certificateFile, key: keyFile });
    const { cache, image } = cached;
    expect(cache.url).toStartWith("https://");
    await using node = await startNode(line);
    const { etc } = node.paths;
    const before = tree(etc);
    const wire = (...more: string[]) =>
      entrepotNode([
        "apply",
        "--cache",
        cache.url,
        "--probe",
        image,
        "--yes",
        ...optionsFor(node),
        ...more,
      ]);
    for (const options of [[], ["--ca", otherCa.certificateFile]]) {
      const refused = await wire("--wait", "1s", ...options);
      expect(refused).toMatchObject({ code: 1, text: expect.stringContaining("TLS failed") });
      expect(tree(etc)).toEqual(before);
    }
    const original = dir.file("original.pem");
    copyFileSync(ca.certificateFile, original);
    expect(await wire("--ca", original)).toMatchObject({
      code: 0,
      text: expect.stringContaining("proven"),
    });
    // The original file is not needed any more.
    rmSync(original);
    const copy = join(etc, "entrepot-ca.pem");
    expect(readFileSync(copy, "utf8")).toBe(await ca.certificate());
    const check = await entrepotNode(["check", ...optionsFor(node)]);
    expect(check).toMatchObject({ code: 0 });
    const verified = await entrepotNode(["verify", "--probe", image, ...optionsFor(node)]);
    expect(verified).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
    // A watcher reads the CA from the journal, so it does not take a private CA for a failure.
    const hosts = join(node.paths.certs, hostsDirectory(image), "hosts.toml");
    const wired = readFileSync(hosts, "utf8");
    {
      const watch = ["watch", "--grace", "1s", "--interval", "200ms", ...optionsFor(node)];
      await using watching = await startProcess({
        name: "entrepot node watch",
        command: [PROGRAM, "node", ...watch],
        ready: (started) => started.output().includes("watching"),
      });
      cache.signal("SIGSTOP");
      await until(() => !existsSync(hosts), { what: "the cache to be removed", within: 15_000 });
      cache.signal("SIGCONT");
      await until(() => existsSync(hosts), { what: "the cache to be added again", within: 15_000 });
      expect(readFileSync(hosts, "utf8")).toBe(wired);
      expect(await watching.stop()).toBe(0);
      expect(watching.output()).not.toContain("TLS");
      expect(watching.output()).toContain("is healthy again");
    }
    const verifiedAgain = await entrepotNode(["verify", "--probe", image, ...optionsFor(node)]);
    expect(verifiedAgain).toMatchObject({ code: 0 });
    const back = await entrepotNode(["rollback", "--yes", ...optionsFor(node)]);
    expect(back).toMatchObject({ code: 0 });
    expect(existsSync(copy)).toBe(false);
    expect(tree(etc)).toEqual(before);
  });
});

/** The hosts directory of an image's registry on loopback. */
function hostsDirectory(image: string): string {
  return image.replace(/\/.*$/, "").replace(/:(\d+)$/, "_$1_");
}
