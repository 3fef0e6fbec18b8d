import { parseImageSelector } from "../../../config/warm/image-selector.ts";
import type { WarmList } from "../../../config/warm/warm-schema.ts";
import type { Job } from "../../../api/jobs.ts";
import {
  type WarmListState,
  type WarmOrderRequest,
  type WarmResult,
  warmResultSchema,
} from "../../../api/warm.ts";
import { IncompleteResult, type Jobs, type Shortfall } from "../../../server/api/jobs/job-table.ts";
import type { WarmOperationParts } from "../../../server/api/operations/warm.ts";
import { ProblemError } from "../../../server/api/problem-details.ts";
import { EventLoopYielder } from "../../../event-loop/event-loop-yielder.ts";
import { Fault } from "../../../oci/fault.ts";
import type { ImageReference } from "../../../oci/image-reference.ts";
import type { ListPins } from "../../../warm/list-pins.ts";
import type { Log } from "../../../telemetry/log.ts";
import type { PendingOrders } from "../../../warm/pending-orders.ts";
import type { WarmItem } from "../../../warm/select-images.ts";
import { type WarmOrder, type WarmParts, WarmRun } from "../../../warm/warm-run.ts";
import { WarmSchedule } from "../../../warm/warm-schedule.ts";
import { invalid, mustBePlatforms } from "./requested-images.ts";

export interface WarmingOptions {
  readonly jobs: Jobs;
  readonly parts: WarmParts;
  /** The pins of the configured lists. */
  readonly pins: ListPins;
  readonly pending: PendingOrders;
  readonly log: Log;
  /** @throws ProblemError if nothing is known of a source */
  readonly mustKnow: (source: string) => void;
  /** What is wanted of a source, now. */
  readonly imagesOf: (source: string, signal: AbortSignal) => Promise<readonly WarmItem[]>;
  /** Called when an order is done. */
  readonly onWarmed: () => void;
}

/** How long after the start what a process before was told to warm is gone on with, in milliseconds. */
const GO_ON_MS = 1000;
/** When that is tried again which found too many jobs running, in milliseconds. */
const GO_ON_AGAIN_MS = 10_000;

/** What lists and orders do besides. */
interface Besides extends Partial<Pick<WarmParts, "pin">> {
  readonly done?: (result: WarmResult) => Promise<void>;
  /** Called at the end, unless that is because the cache stops. */
  readonly ended?: () => void;
}

/** Warms images as jobs: those that somebody orders, and the configured lists when they are due. */
export class Warming implements Disposable {
  /** What the API needs of it. */
  readonly forApi: WarmOperationParts["warm"] = {
    start: (order) => this.#start(order),
    startList: (name) => this.#startNamed(name),
    lists: () => this.#states(),
  };
  readonly #options: WarmingOptions;
  readonly #schedule = new WarmSchedule({ run: (list) => this.#runDue(list) });
  /** By list, the last job that warmed it. */
  readonly #jobs = new Map<string, string>();
  #goingOn: ReturnType<typeof setTimeout>;
  #lists: readonly WarmList[] = [];
  #isClosed = false;

  constructor(options: WarmingOptions) {
    this.#options = options;
    this.#goingOn = this.#goOnIn(GO_ON_MS, () => options.pending.takeOver());
  }

  /**
   * Warms these images, for the platforms for which each is wanted.
   *
   * @throws ProblemError if too many jobs run
   */
  fix(images: readonly WarmItem[], platforms: readonly string[]): Job {
    const count = `${images.length} ${images.length === 1 ? "image" : "images"}`;
    const order = { images, platforms, referrers: false, pin: false, max: 1 };
    return this.#job(`Fetch what is missing of ${count}`, [], order);
  }

  configure(lists: readonly WarmList[]): void {
    this.#lists = lists;
    this.#schedule.configure(lists);
    const pinning = new Set(lists.filter(({ pin }) => pin).map(({ name }) => name));
    // A store that cannot be written to is told elsewhere; at the next start it is tried again.
    void this.#options.pins.configure(pinning).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#goingOn);
    this.#schedule[Symbol.dispose]();
  }

  /** @throws ProblemError */
  async #start(request: WarmOrderRequest): Promise<Job> {
    const turns = new EventLoopYielder();
    const images: WarmItem[] = [];
    for (const text of request.images) {
      const selector = parseImageSelector(text);
      if (typeof selector === "string") throw invalid(`${JSON.stringify(text)} ${selector}`);
      images.push(selector);
      await turns.pause();
    }
    mustBePlatforms(request.platforms);
    if (images.length + request.from.length === 0) throw invalid("no image is named");
    for (const source of request.from) this.#options.mustKnow(source);
    const { from, platforms, referrers, pin, max } = request;
    const [first] = request.images;
    const title =
      first === undefined
        ? `Warm ${from.map((source) => WHAT[source]).join(" and ")}`
        : `Warm ${first}${images.length > 1 ? ` and ${images.length - 1} more` : ""}`;
    const { pending } = this.#options;
    const order = { images, platforms, referrers, pin, max };
    const job = this.#job(title, from, order, { ended: () => pending.ended(request) });
    pending.begun(request);
    return job;
  }

  /** @throws ProblemError */
  #startNamed(name: string): Job {
    const list = this.#lists.find((one) => one.name === name);
    if (list) return this.#startList(list);
    const detail = `there is no list ${JSON.stringify(name)} under warm`;
    throw new ProblemError({ status: 404, detail, next: "GET /api/v1/warm lists them" });
  }

  #startList({ name, from, ...order }: WarmList): Job {
    const { pins } = this.#options;
    const pinned: ImageReference[] = [];
    const job = this.#job(`Warm the list ${name}`, from, order, {
      pin: async (image, platforms) => {
        pinned.push(image);
        await pins.pin(name, image, platforms);
      },
      done: async ({ failed }) => {
        // What failed may be one of those that are pinned.
        if (failed === 0) await pins.keepOnly(name, pinned);
      },
    });
    this.#jobs.set(name, job.id);
    return job;
  }

  #job(title: string, from: readonly string[], order: WarmOrder, besides: Besides = {}): Job {
    const { jobs, parts, imagesOf, onWarmed } = this.#options;
    const { done, ended, ...pinning } = besides;
    return jobs.start({
      kind: "warm",
      title,
      run: async (report, signal) => {
        let isInterrupted = false;
        try {
          const items = [...order.images];
          for (const source of from) items.push(...(await imagesOf(source, signal)));
          const whole = { ...order, images: items };
          const result = await new WarmRun({ ...parts, ...pinning }, whole, report, signal).run();
          await done?.(result);
          onWarmed();
          const lacks = shortfallOf(result, from.length > 0);
          return lacks ? new IncompleteResult(result, lacks) : result;
        } catch (error) {
          isInterrupted = error instanceof Fault && error.detail.kind === "cancelled";
          throw error;
        } finally {
          if (!isInterrupted && !this.#isClosed) ended?.();
        }
      },
    });
  }

  #goOnIn(ms: number, orders: () => readonly WarmOrderRequest[]): ReturnType<typeof setTimeout> {
    return setTimeout(() => void this.#goOn(orders()), ms).unref();
  }

  /** What a process before was told to warm, and did not. */
  async #goOn(orders: readonly WarmOrderRequest[]): Promise<void> {
    const { pending, log } = this.#options;
    const later: WarmOrderRequest[] = [];
    for (const request of orders) {
      try {
        await this.#start(request);
      } catch (error) {
        if (!(error instanceof ProblemError)) throw error;
        if (error.problem.status === 503) later.push(request);
        else {
          // The configuration has changed.
          pending.ended(request);
          const { images, from } = request;
          const reason = error.problem.detail;
          log.warn(
            { images: images.slice(0, 3), from, reason },
            "an order to warm was not gone on with",
          );
        }
      }
    }
    if (later.length > 0 && !this.#isClosed) {
      this.#goingOn = this.#goOnIn(GO_ON_AGAIN_MS, () => later);
    }
  }

  /** Of the schedule: resolves once the list is warmed, with whether that could be begun. */
  async #runDue(list: WarmList): Promise<boolean> {
    const { jobs } = this.#options;
    try {
      const { id } = this.#startList(list);
      for await (const _ of jobs.watch(id)) continue;
      this.#tell(list, jobs.get(id));
      return true;
    } catch (error) {
      // Too many jobs run, or the cache stops.
      if (error instanceof ProblemError) return false;
      throw error;
    }
  }

  /** Nobody watches what is warmed by schedule. */
  #tell({ name: list }: WarmList, { state, problem, result }: Job): void {
    const { log } = this.#options;
    const { data } = warmResultSchema.safeParse(result);
    if (state === "failed") log.warn({ list, reason: problem?.detail }, "a list was not warmed");
    else if (data && data.failed > 0) {
      const { failed, ready, items } = data;
      const [first] = items;
      const example = first && `${first.image}: ${first.reason ?? ""}`;
      log.warn({ list, ready, failed, example }, "some images of a list are not here");
    } else if (data) log.info({ list, ready: data.ready, ...data.downloaded }, "a list is warm");
  }

  #states(): WarmListState[] {
    return this.#schedule.planned.map(({ list, dueAt }) => {
      const { name, images, from, platforms, referrers, pin, schedule } = list;
      const job = this.#jobs.get(name);
      return {
        name,
        images: images.map(({ text }) => text),
        from: [...from],
        platforms: [...platforms],
        referrers,
        pin,
        schedule: schedule.text,
        ...(schedule.timezone === undefined ? {} : { timezone: schedule.timezone }),
        nextAt: dueAt,
        ...(job === undefined ? {} : { job }),
      };
    });
  }
}

/** A cluster has images of other registries, too, which nobody expects here. */
function shortfallOf(
  { images, failed, uncached, ready, items }: WarmResult,
  isFromSource: boolean,
): Shortfall | undefined {
  const lost = failed + (isFromSource ? 0 : uncached);
  if (lost === 0) return undefined;
  const [first] = items;
  const example = first?.reason === undefined ? "" : `, such as ${first.image}: ${first.reason}`;
  const text = `${lost} of ${images} ${images === 1 ? "image is" : "images are"} not here${example}`;
  return { outcome: ready === 0 ? "failed" : "partly", shortfall: text };
}

/** What the sources of an order are, for people. */
const WHAT: Readonly<Record<WarmOrderRequest["from"][number], string>> = {
  cluster: "what the cluster runs",
  pulls: "what was pulled of late",
  lists: "the lists of the configuration",
};
