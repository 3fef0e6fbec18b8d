import {
  awaitsAddress,
  diffSettings,
  type OwnAddress,
  type OwnAddresses,
  runningCluster,
  runningTokens,
} from "../../config/settings-diff.ts";
import {
  type EffectiveKey,
  effectiveKeys,
  upstreamDefaults,
} from "../../config/effective/effective-keys.ts";
import { type LoadedSettings, type LoadOptions, loadSettings } from "../../config/load.ts";
import { type ReadText, readText } from "../../config/parsing/read-text.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import type { CredentialSource, UpstreamSettings } from "../../config/settings.ts";
import type { UpstreamName } from "../../oci/names.ts";
import { fingerprint, FileWatch } from "../../config/parsing/file-watch.ts";
import type { Log } from "../../telemetry/log.ts";

export interface LiveSettingsOptions {
  readonly load: Pick<LoadOptions, "flags" | "env">;
  /** Changes what was loaded, each time. */
  readonly adapt?: ((settings: LoadedSettings) => LoadedSettings) | undefined;
  readonly log: Log;
}

/** What came of reading all files again. */
export interface Reload {
  /** What is in use now. */
  readonly changes: readonly string[];
  readonly needsRestart: readonly string[];
  /** Why nothing was changed: the previous settings stay in use. */
  readonly problems: readonly string[];
}

export interface EffectiveConfiguration extends Pick<Reload, "needsRestart" | "problems"> {
  /** Absent without a configuration file. */
  readonly file?: string;
  readonly keys: readonly EffectiveKey[];
  /** When what is in effect was read, in milliseconds since the epoch. */
  readonly readAt?: number;
  /** What holds for each upstream where nothing else is written. */
  readonly upstreamDefaults: readonly EffectiveKey[];
}

/**
 * The settings of a running cache, which are reloaded when the configuration file changes, or any
 * file that it names. A reload is all or nothing: if a file is not valid, the previous settings stay.
 */
export class LiveSettings {
  readonly #options: LiveSettingsOptions;
  readonly #watch: FileWatch;
  #settings: LoadedSettings;
  #apply: (settings: LoadedSettings) => void = () => {};
  #reloaded: (reload: Reload) => void = () => {};
  /** The addresses of upstreams that are open: those of the start. */
  readonly #open: OwnAddresses;
  /** The files that were read, with their fingerprints from before. */
  #files = new Map<string, string>();
  /** The last error, so that it is logged once. */
  #lastError = "";
  #isChanged = false;
  /** What came of the last time that all files were read. */
  #last: Reload = { changes: [], needsRestart: [], problems: [] };
  /** When the settings in use were read. */
  #readAt = Date.now();
  /** Whether the last valid configuration has settings that need a restart. */
  #awaitsRestart = false;

  /** @throws ConfigError */
  constructor(options: LiveSettingsOptions) {
    this.#options = options;
    this.#watch = new FileWatch(() => this.reload());
    this.#settings = this.#load();
    this.#open = this.#settings.upstreams;
  }

  get settings(): LoadedSettings {
    return this.#settings;
  }

  /** @param apply called with each valid change of the settings; it must not fail */
  onChange(apply: (settings: LoadedSettings) => void): void {
    this.#apply = apply;
    // The file may have changed while the cache was starting.
    if (this.#isChanged) apply(this.#settings);
  }

  /** @param reloaded called after each reload, whatever came of it; it must not fail */
  onReload(reloaded: (reload: Reload) => void): void {
    this.#reloaded = reloaded;
  }

  /** What is in effect, and where it comes from: without secrets. */
  get configuration(): EffectiveConfiguration {
    const { file, written = [] } = this.#settings;
    const { flags = {}, env = {} } = this.#options.load;
    const { needsRestart, problems } = this.#last;
    return {
      ...(file !== undefined && { file }),
      keys: effectiveKeys({ written, flags: { ...flags }, env }),
      readAt: this.#readAt,
      upstreamDefaults: upstreamDefaults(),
      needsRestart,
      problems,
    };
  }

  /** Reads all files now, as on SIGHUP. */
  reload(): Reload {
    const reload = this.#reload();
    this.#last = reload;
    this.#reloaded(reload);
    return reload;
  }

  #reload(): Reload {
    const { log } = this.#options;
    let settings: LoadedSettings;
    try {
      settings = this.#load();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const problems = error.message.split("\n");
      if (error.message !== this.#lastError) {
        log.error({ problems }, "configuration rejected: the previous one stays in use");
        log.flush();
      }
      this.#lastError = error.message;
      return { changes: [], needsRestart: [], problems };
    }
    this.#lastError = "";
    this.#readAt = Date.now();
    const { immediate, needsRestart } = diffSettings(this.#settings, settings, this.#open);
    // Settings that need a restart keep their running values, so that each reload reports them.
    const { listen, admin, dataDirectory, storage, workers, tracing } = this.#settings;
    const { adminTokens: _, tls, adminTls, cluster: after, tracing: __, ...changed } = settings;
    const cluster = runningCluster(this.#settings.cluster, after);
    const adminTokens = runningTokens(this.#settings, settings);
    const identities = {
      ...(this.#settings.tls && { tls: tls ?? this.#settings.tls }),
      ...(this.#settings.adminTls && { adminTls: adminTls ?? this.#settings.adminTls }),
    };
    const upstreams = this.#servedWhereOpen(settings);
    const running = { listen, admin, dataDirectory, storage, upstreams, workers };
    const joined = cluster && { cluster };
    this.#settings = {
      ...changed,
      ...(adminTokens && { adminTokens }),
      ...identities,
      ...joined,
      ...(tracing && { tracing }),
      ...running,
    };
    if (immediate.length > 0) {
      this.#isChanged = true;
      this.#apply(this.#settings);
      log.info({ changes: immediate }, "configuration changed");
    }
    if (needsRestart.length > 0) {
      log.warn({ changes: needsRestart }, "configuration changed: restart required");
    } else if (this.#awaitsRestart) {
      log.info("configuration changed: no restart required any more");
    }
    this.#awaitsRestart = needsRestart.length > 0;
    log.flush();
    return { changes: immediate, needsRestart, problems: [] };
  }

  /** The current credentials of an upstream. Reloads first if a file has changed. */
  async credentials(upstream: string): Promise<CredentialSource | undefined> {
    const { file = "" } = this.#settings;
    // The configuration file may be half written, so its own change is left to the watch. A half
    // written password file is harmless: the upstream refuses it like a wrong password.
    const isSettled = fingerprint([file]) === (this.#files.get(file) ?? fingerprint([file]));
    const hasChanged = [...this.#files].some(([path, before]) => fingerprint([path]) !== before);
    if (isSettled && hasChanged) this.reload();
    for (const settings of this.#settings.upstreams.values()) {
      if (settings.name === upstream) return settings.credentials;
    }
    return undefined;
  }

  /** None may become reachable elsewhere while its socket stays where it is. */
  #servedWhereOpen(after: LoadedSettings): LoadedSettings["upstreams"] {
    const before = this.#settings;
    const served = new Map<UpstreamName, UpstreamSettings>();
    for (const [name, settings] of after.upstreams) {
      const open = this.#open.get(name);
      const isHeld = awaitsAddress(settings, { before, after, open: this.#open });
      const running = isHeld ? before.upstreams.get(name) : settings;
      if (!running) continue;
      const { port: _, listen: __, pathPrefix: ___, ...rest } = running;
      served.set(name, open ? { ...rest, ...addressOf(open) } : running);
    }
    return served;
  }

  close(): void {
    this.#watch.close();
  }

  #load(): LoadedSettings {
    const files = new Map<string, string>();
    const readFile: ReadText = (path, limit) => {
      // Taken before the file is read, so that a change in between is noticed.
      files.set(path, fingerprint([path]));
      return readText(path, limit);
    };
    try {
      const { load, adapt = (same) => same } = this.#options;
      const settings = adapt(loadSettings({ ...load, readFile }));
      this.#files = files;
      return settings;
    } catch (error) {
      // A missing file may appear, and files that were not reached may change.
      this.#files = new Map([...this.#files, ...files]);
      throw error;
    } finally {
      this.#watch.watch(this.#files.keys(), [...this.#files.values()].join("\n"));
    }
  }
}

function addressOf({ port, listen, pathPrefix }: OwnAddress): OwnAddress {
  return {
    ...(port === undefined ? {} : { port }),
    ...(listen ? { listen } : {}),
    ...(pathPrefix === undefined ? {} : { pathPrefix }),
  };
}
