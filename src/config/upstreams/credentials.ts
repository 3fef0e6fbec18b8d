import path from "node:path";
import { readDockerConfig, serverOf } from "./docker-config.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { AuthEntry } from "../auth-schema.ts";
import type { CloudCredentials } from "../cloud/cloud-credentials.ts";
import { readCloudCredentials } from "./cloud-registry.ts";
import { type CredentialSource, type Credentials, DOCKER_HUB } from "../settings.ts";
import type { UpstreamContext } from "./upstream-context.ts";

const MAX_SECRET_BYTES = 64 * 1024;
const MAX_CONFIG_BYTES = 1024 * 1024;

interface Registry {
  readonly name: string;
  readonly url: URL;
  /** How its requests are sent. */
  readonly connection: CloudCredentials["connection"];
}

/** A value is not available. The message is reported at its key. */
class UnavailableError extends Error {}

/** Resolves the `auth` of an upstream to credentials or a credential helper. Problems are reported. */
export function readCredentials(
  at: Path,
  auth: AuthEntry | undefined,
  registry: Registry,
  context: UpstreamContext,
): CredentialSource | undefined {
  if (!auth) return undefined;
  const attempt = <Value>(key: keyof AuthEntry, work: () => Value): Value | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      context.report([...at, "auth", key], error.message, "value");
      return undefined;
    }
  };
  const { dockerConfig, secretDir, helper } = auth;
  if (auth.aws ?? auth.google ?? auth.azure) {
    return readCloudCredentials([...at, "auth"], auth, registry, context);
  }
  if (helper) {
    return attempt("helper", () =>
      withLocation(fromHelper(helper, registry, context), [...at, "auth", "helper"], context),
    );
  }
  if (dockerConfig !== undefined) {
    return attempt("dockerConfig", () =>
      withLocation(
        fromDockerConfig(dockerConfig, registry, context),
        [...at, "auth", "dockerConfig"],
        context,
      ),
    );
  }
  if (secretDir !== undefined) {
    return attempt("secretDir", () =>
      withLocation(fromSecret(secretDir, registry, context), [...at, "auth", "secretDir"], context),
    );
  }
  const username =
    auth.username ?? attempt("usernameEnv", () => readVariable(auth.usernameEnv, context));
  const password =
    auth.password ??
    (auth.passwordFile === undefined
      ? attempt("passwordEnv", () => readVariable(auth.passwordEnv, context))
      : attempt("passwordFile", () => readSecretFile(auth.passwordFile ?? "", context)));
  if (username?.includes(":")) context.report([...at, "auth"], COLON_IN_USERNAME, "key");
  return username === undefined || password === undefined ? undefined : { username, password };
}

// RFC 7617 section 2: the first colon separates the username from the password.
const COLON_IN_USERNAME = "the username must not contain a colon";

function readVariable(name: string | undefined, { env }: UpstreamContext): string {
  const value = name === undefined ? undefined : env[name];
  if (value) return value;
  throw new UnavailableError(`the environment variable ${name ?? ""} is not set`);
}

/** The text of a file without the line break that editors add at its end. */
function readSecretFile(file: string, context: UpstreamContext): string {
  const text = trimLineEnd(read(file, MAX_SECRET_BYTES, context));
  if (text !== "") return text;
  throw new UnavailableError(`${resolvePath(file, context)} is empty`);
}

/** Reads a mounted Kubernetes Secret of the type basic-auth or dockerconfigjson. */
function fromSecret(
  folder: string,
  registry: Registry,
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
    const credentials: Credentials = {
      username: trimLineEnd(username),
      password: trimLineEnd(password),
    };
    if (credentials.username === "" || credentials.password === "")
      throw new UnavailableError(
        `${resolvePath(folder, context)} has an empty username or password`,
      );
    if (credentials.username.includes(":")) throw new UnavailableError(COLON_IN_USERNAME);
    return credentials;
  }
  for (const name of [".dockerconfigjson", "config.json"]) {
    if (tryRead(name) !== undefined)
      return fromDockerConfig(path.join(folder, name), registry, context);
  }
  throw new UnavailableError(
    `${resolvePath(folder, context)} has neither username and password nor .dockerconfigjson`,
  );
}

function fromDockerConfig(
  file: string,
  registry: Registry,
  context: UpstreamContext,
): CredentialSource | undefined {
  const found = readDockerConfig(read(file, MAX_CONFIG_BYTES, context), hostsOf(registry));
  if (typeof found === "string")
    throw new UnavailableError(`${resolvePath(file, context)} ${found}`);
  if (found && "program" in found && !context.hasProgram(found.program)) {
    throw new UnavailableError(
      `${resolvePath(file, context)} needs ${found.program}, which is not in PATH`,
    );
  }
  return found;
}

function fromHelper(
  { program: given, server, ttl }: NonNullable<AuthEntry["helper"]>,
  registry: Registry,
  context: UpstreamContext,
): CredentialSource {
  // A name alone is looked for in PATH.
  const program = given.includes("/") ? resolvePath(given, context) : given;
  if (!context.hasProgram(program)) {
    const why = given.includes("/") ? "does not exist, or is not executable" : "is not in PATH";
    throw new UnavailableError(`${program} ${why}`);
  }
  return {
    program,
    server: server ?? serverOf(hostsOf(registry)),
    ...(ttl === undefined ? {} : { ttl }),
  };
}

/** The names of a registry in Docker's files, the one from image references first. */
function hostsOf({ name, url }: Registry): readonly string[] {
  return name === DOCKER_HUB ? [name, "index.docker.io", url.host] : [name, url.host];
}

/**
 * Adds the position in the configuration to a helper: it runs later, and its errors are reported
 * with the position.
 */
function withLocation(
  source: CredentialSource | undefined,
  at: Path,
  { location }: UpstreamContext,
): CredentialSource | undefined {
  return source && "program" in source ? { ...source, from: location(at) } : source;
}

function read(file: string, limit: number, context: UpstreamContext): string {
  const absolutePath = resolvePath(file, context);
  try {
    return context.readFile(absolutePath, limit);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    throw new UnavailableError(`${absolutePath} ${error.message}`);
  }
}

function resolvePath(file: string, { folder }: UpstreamContext): string {
  return path.resolve(folder, file);
}

function trimLineEnd(text: string): string {
  return text.replace(/\r?\n$/, "");
}
