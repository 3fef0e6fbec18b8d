import { writeFile } from "node:fs/promises";
import { type DockerRegistry, startDockerRegistry } from "../registries/docker-registry.ts";
import { type TempDir, tempDir } from "../temp-dir.ts";

const PUSHER = "pusher";

/** docker-registry, which takes the token that a cloud has issued last as a password. */
export class GatedRegistry implements AsyncDisposable {
  readonly registry: DockerRegistry;
  readonly #dir: TempDir;
  /** All that were issued, to be looked for where they must not be. */
  readonly tokens: string[] = [];

  constructor(registry: DockerRegistry, dir: TempDir) {
    this.registry = registry;
    this.#dir = dir;
  }

  /** For pushes. */
  get authorization(): string {
    return `Basic ${Buffer.from(`${PUSHER}:${PUSHER}`).toString("base64")}`;
  }

  /** For the stand-in of a cloud. */
  readonly accept = async (user: string, token: string): Promise<void> => {
    this.tokens.push(token);
    await writePasswords(this.#dir, [user, token]);
  };

  /** Takes back the token that was issued last. */
  async revoke(): Promise<void> {
    await writePasswords(this.#dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
    await this.#dir[Symbol.asyncDispose]();
  }
}

export async function startGatedRegistry(): Promise<GatedRegistry> {
  const dir = await tempDir("gate");
  await writePasswords(dir);
  const registry = await startDockerRegistry({ htpasswd: dir.file("htpasswd") });
  return new GatedRegistry(registry, dir);
}

async function writePasswords(
  dir: TempDir,
  ...more: readonly (readonly [string, string])[]
): Promise<void> {
  const users = [[PUSHER, PUSHER], ...more];
  const lines = await Promise.all(
    users.map(async ([user, password = ""]) => {
      const hash = await Bun.password.hash(password, { algorithm: "bcrypt", cost: 4 });
      return `${user}:${hash}\n`;
    }),
  );
  await writeFile(dir.file("htpasswd"), lines.join(""));
}
