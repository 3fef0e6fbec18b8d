import { join } from "node:path";
import { mustRun } from "../processes.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";
import { ISSUER, SUBJECT } from "./crafted-bundle.ts";
import type { SigstoreServices } from "./sigstore-services.ts";

/** How cosign is to sign. */
export interface CosignOptions {
  /** The key's file, without `.key`; an identity signs, if absent. */
  readonly key?: string;
  /** As version 2 does it: tags in place of referrers. */
  readonly isOld?: boolean;
  readonly isLogged?: boolean;
  readonly arguments?: readonly string[];
}

/** Debian's cosign with a home of its own, signing with the services of the test. */
export class Cosign implements AsyncDisposable {
  readonly #program: string;
  readonly #services: SigstoreServices;
  readonly dir: TempDir;

  constructor(tree: string, services: SigstoreServices, dir: TempDir) {
    this.#program = join(tree, "usr/bin/cosign");
    this.#services = services;
    this.dir = dir;
  }

  static async open(tree: string, services: SigstoreServices): Promise<Cosign> {
    const cosign = new Cosign(tree, services, await tempDir("cosign"));
    const write = (name: string, content: object): Promise<number> =>
      Bun.write(cosign.dir.file(name), JSON.stringify(content));
    await write("root.json", services.trustRoot());
    await write("services.json", services.signingConfig());
    await write("unlogged.json", {
      mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
      rekorTlogConfig: {},
      tsaConfig: {},
    });
    await write("predicate.json", { builder: "test" });
    return cosign;
  }

  /** Makes a key pair, and returns the public key in PEM. */
  async generateKeys(name = "cosign"): Promise<string> {
    await this.run("generate-key-pair", "--output-key-prefix", name);
    return this.publicKey(name);
  }

  /** Takes over a private key in PEM. */
  async importKeys(name: string, pem: string): Promise<string> {
    await Bun.write(this.dir.file(`${name}.pem`), pem);
    const output = ["--output-key-prefix", name];
    await this.run("import-key-pair", "--key", this.dir.file(`${name}.pem`), ...output);
    return this.publicKey(name);
  }

  publicKey(name: string): Promise<string> {
    return Bun.file(this.dir.file(`${name}.pub`)).text();
  }

  async sign(image: string, options: CosignOptions = {}): Promise<void> {
    await this.run("sign", ...this.#arguments(options), image);
  }

  async attest(image: string, type: string, options: CosignOptions = {}): Promise<void> {
    const predicate = ["--type", type, "--predicate", this.dir.file("predicate.json")];
    await this.run("attest", ...this.#arguments(options), ...predicate, image);
  }

  run(...args: readonly string[]): Promise<string> {
    const env = { HOME: this.dir.path, COSIGN_PASSWORD: "" };
    return mustRun([this.#program, ...args], { cwd: this.dir.path, env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dir[Symbol.asyncDispose]();
  }

  #arguments({ key, isOld = false, isLogged = true, ...options }: CosignOptions): string[] {
    const { url } = this.#services;
    const services = isOld
      ? [
          "--use-signing-config=false",
          "--new-bundle-format=false",
          ...(isLogged ? ["--rekor-url", url] : ["--tlog-upload=false"]),
          ...(key === undefined ? ["--fulcio-url", url] : []),
        ]
      : ["--signing-config", this.dir.file(isLogged ? "services.json" : "unlogged.json")];
    return [
      "--yes",
      "--allow-http-registry",
      "--trusted-root",
      this.dir.file("root.json"),
      ...services,
      ...(key === undefined ? ["--identity-token", identityToken()] : ["--key", `${key}.key`]),
      ...(options.arguments ?? []),
    ];
  }
}

/** A token that nobody verifies. */
function identityToken(): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, sub: SUBJECT, aud: "sigstore", iat: now, exp: now + 600 };
  return [part({ alg: "RS256", typ: "JWT" }), part(claims), part({})].join(".");
}
