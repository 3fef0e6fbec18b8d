import { X509Certificate } from "node:crypto";
import { mustRun } from "../processes.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";

const CONFIG = `[tsa]
default_tsa = here
[here]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
`;

const EXTENSIONS = `basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
`;

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** A timestamp authority (RFC 3161), by openssl: it signs that it has seen something now. */
export class TimestampAuthority implements AsyncDisposable {
  readonly #dir: TempDir;

  private constructor(dir: TempDir) {
    this.#dir = dir;
  }

  static async make(): Promise<TimestampAuthority> {
    const made = new TimestampAuthority(await tempDir("timestamps"));
    const run = (...args: string[]): Promise<string> => made.#openssl(...args);
    const file = (name: string, text: string): Promise<number> =>
      Bun.write(made.#dir.file(name), text);
    await file("serial", "01\n");
    await file("openssl.cnf", CONFIG);
    await file("extensions", EXTENSIONS);
    const usage = [
      "-addext",
      "basicConstraints=critical,CA:TRUE",
      "-addext",
      "keyUsage=critical,keyCertSign",
    ];
    const root = ["-subj", "/CN=stamps root", "-keyout", "root-key.pem", "-out", "root.pem"];
    await run("req", "-x509", ...NEW_KEY, "-days", "2", ...root, ...usage);
    await run(
      "req",
      "-new",
      ...NEW_KEY,
      "-subj",
      "/CN=stamps",
      "-keyout",
      "key.pem",
      "-out",
      "csr",
    );
    const issuer = ["-CA", "root.pem", "-CAkey", "root-key.pem", "-CAcreateserial"];
    const output = ["-days", "1", "-extfile", "extensions", "-out", "certificate.pem"];
    await run("x509", "-req", "-in", "csr", ...issuer, ...output);
    return made;
  }

  /** As trusted_root.json has it. */
  async entry(): Promise<object> {
    const derOf = async (name: string): Promise<object> => {
      const pem = await Bun.file(this.#dir.file(name)).text();
      return { rawBytes: new X509Certificate(pem).raw.toString("base64") };
    };
    return {
      subject: { organization: "test", commonName: "stamps" },
      certChain: { certificates: [await derOf("certificate.pem"), await derOf("root.pem")] },
      validFor: { start: new Date(0).toISOString() },
    };
  }

  /** A timestamp of a signature, both in base64. */
  async stamp(signature: string): Promise<string> {
    await Bun.write(this.#dir.file("data"), Buffer.from(signature, "base64"));
    await this.#openssl("ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "query");
    const signer = ["-inkey", "key.pem", "-signer", "certificate.pem"];
    const files = ["-queryfile", "query", "-out", "reply"];
    await this.#openssl("ts", "-reply", "-config", "openssl.cnf", ...files, ...signer);
    return Buffer.from(await Bun.file(this.#dir.file("reply")).arrayBuffer()).toString("base64");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }

  #openssl(...args: readonly string[]): Promise<string> {
    return mustRun(["openssl", ...args], { cwd: this.#dir.path });
  }
}
