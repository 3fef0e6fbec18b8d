import path from "node:path";
import { readDockerConfig } from "./docker-config.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { UpstreamEntry } from "../schema.ts";
import { type CredentialSource, type Credentials, DOCKER_HUB } from "../settings.ts";
import type { UpstreamContext } from "./upstream-context.ts";

const MAX_SECRET_BYTES = 64 * 1024;
const MAX_CONFIG_BYTES = 1024 * 1024;

type Auth = NonNullable<UpstreamEntry["auth"]>;

/** Why a value cannot be had; reported at its key. */
class Missing extends Error {}

/** The credentials that an upstream's `auth` leads to. What is wrong is reported where it stands. */
export function readCredentials(
  at: Path,
  auth: Auth | undefined,
  registry: { readonly name: string; readonly url: URL },
  context: UpstreamContext,
): CredentialSource | undefined {
  if (!auth) return undefined;
  const attempt = <Value>(key: keyof Auth, work: () => Value): Value | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      context.report([...at, "auth", key], error.message, "value");
      return undefined;
    }
  };
  const { dockerConfig, secretDir } = auth;
  if (dockerConfig !== undefined) {
    return attempt("dockerConfig", () =>
      placed(
        fromDockerConfig(dockerConfig, registry, context),
        [...at, "auth", "dockerConfig"],
        context,
      ),
    );
  }
  if (secretDir !== undefined) {
    return attempt("secretDir", () =>
      placed(fromSecret(secretDir, registry, context), [...at, "auth", "secretDir"], context),
    );
  }
  const username =
    auth.username ?? attempt("usernameEnv", () => variable(auth.usernameEnv, context));
  const password =
    auth.password ??
    (auth.passwordFile === undefined
      ? attempt("passwordEnv", () => variable(auth.passwordEnv, context))
      : attempt("passwordFile", () => secret(auth.passwordFile ?? "", context)));
  if (username?.includes(":")) context.report([...at, "auth"], COLON, "key");
  return username === undefined || password === undefined ? undefined : { username, password };
}

// RFC 7617 section 2: the first colon ends the user's name.
const COLON = "the user's name must not contain a colon";

function variable(name: string | undefined, { env }: UpstreamContext): string {
  const value = name === undefined ? undefined : env[name];
  if (value) return value;
  throw new Missing(`the environment variable ${name ?? ""} is not set`);
}

/** A file's text without the line end that editors put there. */
function secret(file: string, context: UpstreamContext): string {
  const text = read(file, MAX_SECRET_BYTES, context).replace(/\r?\n$/, "");
  if (text !== "") return text;
  throw new Missing(`${resolved(file, context)} is empty`);
}

/** A Kubernetes Secret, mounted as a directory: of the type basic-auth, or dockerconfigjson. */
function fromSecret(
  folder: string,
  registry: { readonly name: string; readonly url: URL },
  context: UpstreamContext,
): CredentialSource | undefined {
  const tryRead = (name: string): string | undefined => {
    try {
      return read(path.join(folder, name), MAX_CONFIG_BYTES, context);
    } catch {
      return undefined;
    }
  };
  const [username, password] = [tryRead("username"), tryRead("password")];
  if (username !== undefined && password !== undefined) {
    const both: Credentials = { username: chomp(username), password: chomp(password) };
    if (both.username === "" || both.password === "")
      throw new Missing(`${resolved(folder, context)} has an empty username or password`);
    if (both.username.includes(":")) throw new Missing(COLON);
    return both;
  }
  for (const name of [".dockerconfigjson", "config.json"]) {
    if (tryRead(name) !== undefined)
      return fromDockerConfig(path.join(folder, name), registry, context);
  }
  throw new Missing(
    `${resolved(folder, context)} has neither username and password nor .dockerconfigjson`,
  );
}

function fromDockerConfig(
  file: string,
  { name, url }: { readonly name: string; readonly url: URL },
  context: UpstreamContext,
): CredentialSource | undefined {
  const hosts = name === DOCKER_HUB ? [name, "index.docker.io", url.host] : [name, url.host];
  const found = readDockerConfig(read(file, MAX_CONFIG_BYTES, context), hosts);
  if (typeof found === "string") throw new Missing(`${resolved(file, context)} ${found}`);
  if (found && "helper" in found && !context.hasProgram(`docker-credential-${found.helper}`)) {
    throw new Missing(
      `${resolved(file, context)} wants docker-credential-${found.helper}, which is not in PATH`,
    );
  }
  return found;
}

/** Helpers are asked later: what they do wrong then is told with the place of what named them. */
function placed(
  source: CredentialSource | undefined,
  at: Path,
  { place }: UpstreamContext,
): CredentialSource | undefined {
  return source && "helper" in source ? { ...source, from: place(at) } : source;
}

function read(file: string, limit: number, context: UpstreamContext): string {
  const whole = resolved(file, context);
  try {
    return context.readFile(whole, limit);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    throw new Missing(`${whole} ${error.message}`);
  }
}

function resolved(file: string, { folder }: UpstreamContext): string {
  return path.resolve(folder, file);
}

function chomp(text: string): string {
  return text.replace(/\r?\n$/, "");
}
