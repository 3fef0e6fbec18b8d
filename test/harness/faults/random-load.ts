import { orderJob } from "../cache/admin-jobs.ts";
import type { CacheModel, ModelImage } from "../cache/cache-model.ts";
import type { Entrepot } from "../cache/entrepot.ts";
import { exchange } from "../registries/http-exchange.ts";

const WORKERS = 6;
const ADMIN_PATHS = ["/healthz", "/metrics", "/api/v1/status"];
/** Longest pauses of a client after a response, and after none, in milliseconds. */
const PAUSE = 20;
const RETRY_PAUSE = 50;
/** How long a command may take, in milliseconds. */
const PATIENCE = 25_000;

export interface RandomLoadOptions {
  readonly model: CacheModel;
  readonly random: () => number;
  /** Whether connections may be closed, since the fault is about them or the process ends. */
  readonly isCut: () => boolean;
  /** Whether the upstream of a registry may be blamed. */
  readonly mayBlame: (registry: string) => boolean;
  /** Images that the operator may purge. */
  readonly purgeable: readonly ModelImage[];
}

/** Clients that request what a model draws, and an operator who looks at the cache, until they are stopped. */
export class RandomLoad {
  /** Responses that no fault excuses, and how many there were. */
  readonly violations = new Map<string, number>();
  /** How many responses had which status, and did not end well. */
  readonly counts = new Map<string, number>();
  /** Images that the operator tried to purge. */
  readonly purged = new Set<ModelImage>();
  readonly #options: RandomLoadOptions;
  readonly #end = new AbortController();
  readonly #work: Promise<unknown>;

  constructor(cache: Entrepot, options: RandomLoadOptions) {
    this.#options = options;
    const clients = Array.from({ length: WORKERS }, () => this.#pull(cache.address));
    this.#work = Promise.all([...clients, this.#administrate(cache.adminAddress)]);
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#work;
  }

  async #pull(address: string): Promise<void> {
    const { model, random, isCut, mayBlame } = this.#options;
    while (!this.#end.signal.aborted) {
      const request = model.random(random);
      const response = await exchange(address, request.path, request);
      const { end, status } = response;
      const isUnanswered = end === "no-answer";
      count(this.counts, isUnanswered ? "none" : `${status}${end === "cut" ? " cut" : ""}`);
      const isBlame = (status === 502 || status === 504) && !mayBlame(request.registry);
      const blame = isBlame ? `${status} ${response.body.toString("utf8")}` : undefined;
      const mistake = model.wrong(request, response) ?? blame;
      if (mistake !== undefined && !(isUnanswered && isCut())) {
        const range = request.range ? " range" : "";
        count(this.violations, `${request.method} ${request.kind}${range}: ${mistake}`);
      }
      await Bun.sleep(isUnanswered ? RETRY_PAUSE : random() * PAUSE);
    }
  }

  async #administrate(address: string): Promise<void> {
    const { random, isCut } = this.#options;
    while (!this.#end.signal.aborted) {
      const chance = random();
      if (chance < 0.03) await this.#purge(address);
      else if (chance < 0.05) await this.#verify(address);
      const path = ADMIN_PATHS[Math.floor(random() * ADMIN_PATHS.length)] ?? "/healthz";
      const { end, status, body } = await exchange(address, path);
      if ((end !== "complete" || status !== 200) && !isCut()) {
        count(this.violations, `${path}: ${end} ${status} ${body.toString("utf8").slice(0, 200)}`);
      }
      await Bun.sleep(PAUSE * 2);
    }
  }

  async #purge(address: string): Promise<void> {
    const { random, purgeable } = this.#options;
    const one = purgeable[Math.floor(random() * purgeable.length)];
    if (!one) return;
    this.purged.add(one);
    await this.#order(address, "purge", { pattern: `${one.registry}/${one.repository}:*` });
  }

  /** Reads every blob: none is corrupt, whatever cannot be read. */
  async #verify(address: string): Promise<void> {
    const result = await this.#order(address, "fsck", {});
    if (!result) return;
    const text = JSON.stringify(result);
    if (!text.includes('"corrupt":[]')) count(this.violations, `fsck: ${text.slice(-300)}`);
  }

  /** The result of an order. What fails has to say why. */
  async #order(address: string, order: string, body: object): Promise<object | undefined> {
    const { isCut } = this.#options;
    try {
      const ordered = await orderJob(address, order, body, AbortSignal.timeout(PATIENCE));
      if (!("job" in ordered)) {
        const { status, text } = ordered;
        count(this.counts, `${order} ${status}`);
        if (![500, 503].includes(status) || text === "") {
          count(this.violations, `${order}: ${status} ${text.slice(0, 200)}`);
        }
        return undefined;
      }
      const { state, problem, result } = ordered.job;
      count(this.counts, `${order} ${problem?.status ?? state}`);
      if (state !== "done" && ![404, 500, 503].includes(problem?.status ?? 0)) {
        count(this.violations, `${order}: ${state} ${problem?.detail}`);
      }
      return result;
    } catch (error) {
      if (!isCut()) count(this.violations, `${order}: ${String(error)}`);
      return undefined;
    }
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
