import type { AccessKeys } from "../../upstream/cloud/aws/access-keys.ts";
import { CloudError } from "../../upstream/cloud/cloud-error.ts";
import { readSecretLine } from "../../upstream/cloud/secret-file.ts";
import { SharedStoreError } from "../shared-store/shared-store-error.ts";

/** How long keys are used before their files are read again, in milliseconds. */
const FRESH_MS = 10_000;

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
    return credentialsFor(this.#store, () => readSecretLine(path));
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
 * Does something that clouds and files give access keys for.
 *
 * @param store its name, for messages
 * @throws SharedStoreError
 */
export async function credentialsFor<Result>(
  store: string,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof CloudError)) throw cause;
    throw new SharedStoreError(store, { kind: "credentials", reason: cause.message }, { cause });
  }
}
