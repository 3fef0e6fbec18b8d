import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { makeCertificate } from "../harness/certificates.ts";
import { tempDir } from "../harness/places.ts";
import { mustRun } from "../harness/processes.ts";
import { real } from "../harness/real.ts";
import { entrepotNode } from "./program.ts";
import { tree } from "./tree.ts";

setDefaultTimeout(60_000);

test.skipIf(!real.available)(
  "a file that is no authority is refused, with what it is, and nothing is written",
  async () => {
    await using dir = await tempDir("authority");
    const { certificateFile, certificate, key, keyFile } = await makeCertificate(dir);
    const root = dir.file("root");
    mkdirSync(root);
    const broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    const old = dir.file("old.pem");
    const again = ["-in", certificateFile, "-signkey", keyFile, "-days", "-1", "-out", old];
    await mustRun(["openssl", "x509", ...again]);
    const file = (name: string, text: string): string => {
      writeFileSync(dir.file(name), text);
      return dir.file(name);
    };
    const plan = (cache: string, ca: string) => {
      const wish = ["--cache", cache, "--ca", ca, "--upstream", "ghcr.io"];
      return entrepotNode(["apply", ...wish, "--root", root, "--containerd-version", "1.7.24"]);
    };
    const https = "https://cache:5000";
    for (const [cache, ca, says] of [
      [https, dir.file("none.pem"), "cannot be read: ENOENT"],
      [https, dir.path, "cannot be read: EISDIR"],
      [https, file("page.html", "<html></html>"), "holds no certificate in PEM"],
      [https, file("both.pem", certificate + key), "holds a private key"],
      [https, file("broken.pem", broken), "cannot be read"],
      [https, old, "CN=localhost was valid until"],
      ["http://cache:5000", certificateFile, "--ca goes with an https:// cache"],
    ] as const) {
      const { code, text } = await plan(cache, ca);
      expect({ code, text }).toEqual({ code: 2, text: expect.stringContaining(says) });
      expect(tree(root)).toEqual({});
    }
    expect(await plan(https, certificateFile)).toMatchObject({ code: 0 });
    expect(tree(root)["etc/containerd/entrepot-ca.pem"]).toBe(`644 ${certificate}`);
  },
);
