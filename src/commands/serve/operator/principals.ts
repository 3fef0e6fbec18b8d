import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import { growingTo } from "../../../process/growing-to.ts";
import type { Settings } from "../../../config/settings.ts";
import type { RequestRecord } from "../../../server/pull/request-record.ts";
import { replaceFile } from "../../../store/replace-file.ts";
import { describeSystemError, systemCode } from "../../../store/storage-fault.ts";
import type { Log } from "../../../telemetry/log.ts";

/** In the data directory: 32 bytes in hexadecimal digits, as `openssl dgst -mac HMAC` takes them. */
const KEY_FILE = "audit.key";
/** Hexadecimal digits of a hash: enough for no two names to have the same. */
const LENGTH = 32;
/** Clients pull again and again. */
const MAX_NAMES = 4096;

/**
 * How the log and the audit call whoever pulls: by name, or by a hash of it with a key of the owner, which
 * stays the same after a restart.
 */
export class Principals {
  readonly #dataDirectory: string;
  readonly #log: Log;
  readonly #hashes = new LRUCache<string, string>(growingTo(MAX_NAMES));
  #key: Uint8Array<ArrayBuffer> | undefined;
  #isHashed = false;

  constructor(dataDirectory: string, log: Log) {
    this.#dataDirectory = dataDirectory;
    this.#log = log;
  }

  /** Takes up settings, at the start once there is a data directory, and when they change. */
  configure({ clients }: Pick<Settings, "clients">): void {
    this.#isHashed = clients?.auditAs === "hash";
    if (this.#isHashed) this.#key ??= this.#ownersKey();
  }

  /** A record in which nobody has a name that is not to be shown. */
  shownIn(record: RequestRecord): RequestRecord {
    if (!this.#isHashed) return record;
    const { principal, access, refused } = record;
    // Why credentials were not accepted may say whose they were. What the client was told does not.
    const isOfAccess = access === "refused" || access === "not-permitted";
    const error = isOfAccess && refused ? { error: refused.message } : {};
    if (principal === undefined) return { ...record, ...error };
    return { ...record, ...error, principal: this.#hashOf(principal) };
  }

  /** What proved the name stays readable. */
  #hashOf(principal: string): string {
    const known = this.#hashes.get(principal);
    if (known !== undefined) return known;
    const source = principal.slice(0, principal.indexOf(":") + 1);
    const hash = new Bun.CryptoHasher("sha256", this.#key).update(principal).digest("hex");
    const shown = `${source}#${hash.slice(0, LENGTH)}`;
    this.#hashes.set(principal, shown);
    return shown;
  }

  #ownersKey(): Uint8Array<ArrayBuffer> {
    const path = join(this.#dataDirectory, KEY_FILE);
    try {
      return Uint8Array.fromHex(writtenKey(path));
    } catch (error) {
      const problem = `${describeSystemError(error)}: principals are hashed with another key until the next start`;
      this.#log.error({ file: path, problem }, "key of the audit not read or written");
      return crypto.getRandomValues(new Uint8Array(32));
    }
  }
}

/** What the file has, which is made if there is none. */
function writtenKey(path: string): string {
  try {
    const text = readFileSync(path, "utf8").trim();
    if (/^[\da-f]{64}$/i.test(text)) return text;
    throw new Error(`it does not contain 64 hexadecimal digits: remove it, or put them there`);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    const key = crypto.getRandomValues(new Uint8Array(32)).toHex();
    replaceFile(path, `${key}\n`, true);
    return key;
  }
}
