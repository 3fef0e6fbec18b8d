import type { AuditSettings } from "../config/operator/audit-settings.ts";
import { printableLines } from "../printable.ts";
import type { Log } from "../telemetry/log.ts";
import { redactLine } from "../telemetry/redact.ts";
import { cutForLog } from "../telemetry/request-lines.ts";
import { AuditFile } from "./audit-file.ts";
import { type AuditLine, AuditTrail } from "./audit-trail.ts";
import type { AuditedRequest } from "./audited-request.ts";

/** How often it is looked which pulls are over, in milliseconds. */
const INTERVAL_MS = 1000;

export interface AuditOptions {
  readonly log: Log;
  /** The pods of the node with this address that have this image. */
  readonly podsOf?: ((address: string, image: string) => readonly string[]) | undefined;
  /** Called each time that lines cannot be written. */
  readonly onError: (error: unknown, file: string) => void;
}

/** Records who pulled what: a line of JSON for each pull, in a file or in the log. */
export class Audit implements AsyncDisposable {
  readonly #settings: AuditSettings;
  readonly #options: AuditOptions;
  readonly #file: AuditFile | undefined;
  readonly #trail = new AuditTrail((line) => this.#write(line));
  readonly #timer: Timer;
  #lines = 0;

  constructor(settings: AuditSettings, options: AuditOptions) {
    this.#settings = settings;
    this.#options = options;
    const { file } = settings;
    if (file !== undefined) {
      this.#file = new AuditFile({ ...settings, file }, (error) => options.onError(error, file));
    }
    this.#timer = setInterval(() => this.#trail.endSilent(Date.now()), INTERVAL_MS).unref();
  }

  get settings(): AuditSettings {
    return this.#settings;
  }

  get counts(): { readonly lines: number; readonly dropped: number } {
    return { lines: this.#lines, dropped: this.#file?.dropped ?? 0 };
  }

  add(request: AuditedRequest): void {
    this.#trail.add(request);
  }

  /** Writes the lines of all pulls, also of those under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#trail.endAll();
    await this.#file?.[Symbol.asyncDispose]();
  }

  #write({ at, since, result, ...line }: AuditLine): void {
    this.#lines += 1;
    const pods = this.#options.podsOf?.(line.client, line.image) ?? [];
    const fields = {
      ...line,
      ...(pods.length > 0 ? { pods } : {}),
      agent: cutForLog(line.agent),
      cache: result,
      ms: Math.round(at - since),
    };
    if (this.#file) {
      const text = JSON.stringify({ time: new Date(at).toISOString(), ...fields });
      this.#file.write(`${printableLines(redactLine(text))}\n`);
    } else this.#options.log.info(fields, "audit");
  }
}
