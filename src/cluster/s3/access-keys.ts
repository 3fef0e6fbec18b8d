import { SharedStoreError } from "../shared-store/shared-store-error.ts";

/** How long keys are used before their files are read again, in milliseconds. */
const FRESH_MS = 10_000;
const MAX_FILE_BYTES = 16 * 1024;

/** What requests are signed with. */
export interface AccessKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary keys. */
  readonly sessionToken?: string;
}

/** Where access keys come from. They may change at any time. */
export interface AccessKeySource {
  /** @throws SharedStoreError if there are none */
  current(): Promise<AccessKeys>;
  /**
   * The store has refused keys.
   *
   * @returns others, if there are any by now
   * @throws SharedStoreError if there are none at all
   */
  renewed(refused: AccessKeys): Promise<AccessKeys | undefined>;
}

export interface AccessKeyFiles {
  readonly accessKeyFile: string;
  readonly secretKeyFile: string;
  readonly sessionTokenFile?: string | undefined;
}

/** Access keys in files, which somebody may replace while the cache runs. */
export class FileAccessKeys implements AccessKeySource {
  readonly #store: string;
  readonly #files: AccessKeyFiles;
  readonly #now: () => number;
  #keys: AccessKeys | undefined;
  #readAt = -Infinity;

  /**
   * @param store its name, for messages
   * @param now a monotonic clock, in milliseconds
   */
  constructor(store: string, files: AccessKeyFiles, now: () => number = () => performance.now()) {
    this.#store = store;
    this.#files = files;
    this.#now = now;
  }

  async current(): Promise<AccessKeys> {
    if (this.#keys && this.#now() - this.#readAt < FRESH_MS) return this.#keys;
    try {
      return await this.#read();
    } catch (error) {
      // A file that is just being replaced.
      if (this.#keys) return this.#keys;
      throw error;
    }
  }

  async renewed(refused: AccessKeys): Promise<AccessKeys | undefined> {
    const keys = await this.#read();
    return isSame(keys, refused) ? undefined : keys;
  }

  async #read(): Promise<AccessKeys> {
    const { accessKeyFile, secretKeyFile, sessionTokenFile } = this.#files;
    const [accessKeyId, secretAccessKey, sessionToken] = await Promise.all([
      this.#text(accessKeyFile),
      this.#text(secretKeyFile),
      sessionTokenFile === undefined ? undefined : this.#text(sessionTokenFile),
    ]);
    this.#keys = {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
    };
    this.#readAt = this.#now();
    return this.#keys;
  }

  #text(path: string): Promise<string> {
    return readSecretLine(this.#store, path);
  }
}

export function isSame(one: AccessKeys, other: AccessKeys): boolean {
  return (
    one.accessKeyId === other.accessKeyId &&
    one.secretAccessKey === other.secretAccessKey &&
    one.sessionToken === other.sessionToken
  );
}

/**
 * The one line of a file with a secret.
 *
 * @param store its name, for messages
 * @throws SharedStoreError
 */
export async function readSecretLine(store: string, path: string): Promise<string> {
  const problem = (reason: string): SharedStoreError =>
    new SharedStoreError(store, { kind: "credentials", reason: `${path} ${reason}` });
  let text: string;
  try {
    text = (await Bun.file(path).slice(0, MAX_FILE_BYTES).text()).trim();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
    throw problem(`cannot be read (${code})`);
  }
  if (text === "") throw problem("is empty");
  // It becomes a part of a header.
  if (!/^[\x21-\x7e]+$/.test(text)) throw problem("has more than one line or word of ASCII");
  return text;
}
