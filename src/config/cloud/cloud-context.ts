/** What a registry of a cloud is read from, beside its entry. */
export interface CloudContext {
  /** The host to which the credentials go. */
  readonly host: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * A file that the environment names.
   *
   * @returns its text
   * @throws CloudProblem if it cannot be read, or is empty
   */
  readonly readFile: (path: string) => string;
  /** Whether a file that the environment does not name is there. */
  readonly hasFile: (path: string) => boolean;
}

/** An entry that is of no use. The message is reported at its key. */
export class CloudProblem extends Error {
  override readonly name = "CloudProblem";
}

/** An address from a variable of the environment. */
export function urlOf(env: CloudContext["env"], variable: string): URL | undefined {
  const text = env[variable];
  if (!text) return undefined;
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
  if (url && url.username === "" && url.password === "") return url;
  throw new CloudProblem(`${variable} is not a URL: write https://host`);
}

/** A secret from a variable of the environment, which becomes a part of a header. */
export function wordOf(env: CloudContext["env"], variable: string): string | undefined {
  const text = env[variable];
  if (!text || /^[\x21-\x7e]+$/.test(text)) return text || undefined;
  throw new CloudProblem(`${variable} has more than one line or word of ASCII`);
}

/** The name that a cloud knows a registry by. */
export function registryHost(
  { registry }: { readonly registry?: string | undefined },
  { host }: CloudContext,
  { isKnown, example }: { readonly isKnown: (host: string) => boolean; readonly example: string },
): string {
  const name = registry ?? host;
  if (isKnown(name)) return name;
  const what =
    registry === undefined
      ? `${host} is not the host name of a registry there: if it stands for one, set registry to that one's`
      : `${registry} is not the host name of a registry there`;
  throw new CloudProblem(`${what}, such as ${example}`);
}
