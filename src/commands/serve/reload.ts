import { diffSettings } from "../../config/settings-diff.ts";
import { type LoadedSettings, type LoadOptions, loadSettings } from "../../config/load.ts";
import { type ReadText, readText } from "../../config/parsing/read-text.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import type { CredentialSource } from "../../config/settings.ts";
import { fingerprint, FileWatch } from "../../config/parsing/file-watch.ts";
import type { Log } from "../../telemetry/log.ts";

export interface ReloadOptions {
  readonly load: Pick<LoadOptions, "flags" | "env">;
  readonly log: Log;
}

/**
 * The configuration as it is now. A change of its file, or of any file that it names, is read whole
 * and then taken up whole, or refused whole while the running one stays.
 */
export class Reload {
  readonly #options: ReloadOptions;
  readonly #watch: FileWatch;
  #settings: LoadedSettings;
  #apply: (settings: LoadedSettings) => void = () => {};
  /** The files that were read, as they were then. */
  #files = new Map<string, string>();
  #refusal = "";
  #isChanged = false;

  /** @throws ConfigError */
  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#watch = new FileWatch(() => this.now());
    this.#settings = this.#load();
  }

  get settings(): LoadedSettings {
    return this.#settings;
  }

  /** @param apply must not fail: what it is given was found to be good */
  onChange(apply: (settings: LoadedSettings) => void): void {
    this.#apply = apply;
    // The file may have changed while what takes changes up was still starting.
    if (this.#isChanged) apply(this.#settings);
  }

  /** Reads everything at once, as after a SIGHUP. */
  now(): void {
    const { log } = this.#options;
    let settings: LoadedSettings;
    try {
      settings = this.#load();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      // A file that stays bad is told about once.
      if (error.message !== this.#refusal) {
        const problems = error.message.split("\n");
        log.error({ problems }, "configuration refused: the running one stays");
        log.flush();
      }
      this.#refusal = error.message;
      return;
    }
    this.#refusal = "";
    const { immediate, needsRestart } = diffSettings(this.#settings, settings);
    // What needs a restart stays a difference to what runs, and is told at each change.
    const { listen, admin, adminToken, dataDirectory, storage } = this.#settings;
    const { adminToken: _, tls, ...changed } = settings;
    const token = adminToken === undefined ? {} : { adminToken };
    const identity = this.#settings.tls && { tls: tls ?? this.#settings.tls };
    this.#settings = { ...changed, ...token, ...identity, listen, admin, dataDirectory, storage };
    if (immediate.length > 0) {
      this.#isChanged = true;
      this.#apply(this.#settings);
      log.info({ changes: immediate }, "configuration changed");
    }
    if (needsRestart.length > 0) {
      log.warn({ changes: needsRestart }, "configuration changed: this needs a restart");
    }
    log.flush();
  }

  /** The credentials of an upstream, read anew if their files have changed since. */
  async credentials(upstream: string): Promise<CredentialSource | undefined> {
    const { file = "" } = this.#settings;
    // The configuration itself may be half written; a half of a password is refused like a wrong one.
    const isSettled = fingerprint([file]) === (this.#files.get(file) ?? fingerprint([file]));
    const hasChanged = [...this.#files].some(([path, seen]) => fingerprint([path]) !== seen);
    if (isSettled && hasChanged) this.now();
    for (const settings of this.#settings.upstreams.values()) {
      if (settings.name === upstream) return settings.credentials;
    }
    return undefined;
  }

  close(): void {
    this.#watch.close();
  }

  #load(): LoadedSettings {
    const files = new Map<string, string>();
    const readFile: ReadText = (path, limit) => {
      // Before it is read: a change in between is then a change, and not lost.
      files.set(path, fingerprint([path]));
      return readText(path, limit);
    };
    try {
      const settings = loadSettings({ ...this.#options.load, readFile });
      this.#files = files;
      return settings;
    } catch (error) {
      // A file that was missing may come, and one that was not reached may change.
      this.#files = new Map([...this.#files, ...files]);
      throw error;
    } finally {
      this.#watch.watch(this.#files.keys(), [...this.#files.values()].join("\n"));
    }
  }
}
