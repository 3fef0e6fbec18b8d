import { afterEach, describe, expect, test } from "bun:test";
import { RateSchedule } from "../../config/parsing/rate-schedule.ts";
import { DownloadRates, type DownloadOptions, type MaxRates } from "./download-rates.ts";
import { ScriptedClock } from "../upstreamtest/scripted-clock.ts";
import type { Turns } from "./turns.ts";

const MIB = 1024 * 1024;

/** Transfers whose senders always have bytes, at once or so many milliseconds after each turn. */
class Line {
  readonly rates: DownloadRates;
  readonly abort = new AbortController();

  constructor(
    readonly clock: ScriptedClock,
    limits: Partial<MaxRates>,
  ) {
    this.rates = new DownloadRates(clock);
    this.configure(limits);
  }

  configure({ upstreams = new Map(), ...rest }: Partial<MaxRates>): void {
    this.rates.configure({ upstreams, ...rest });
  }

  download(options: Partial<DownloadOptions> & { latency?: number } = {}): Download {
    const { latency = 0, ...rest } = options;
    const turns = this.rates.open({ upstream: "a.test", blob: crypto.randomUUID(), ...rest });
    return new Download(turns, this, latency);
  }
}

class Download {
  bytes = 0;
  #isClosed = false;

  constructor(
    readonly turns: Turns,
    readonly line: Line,
    readonly latency: number,
  ) {
    this.#run().catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { clock, abort } = this.line;
    while (!this.#isClosed) {
      await this.turns.next(abort.signal);
      if (this.latency > 0) {
        const { promise, resolve } = Promise.withResolvers<void>();
        clock.after(this.latency, resolve);
        await promise;
      }
      const bytes = this.turns.partBytes;
      this.bytes += bytes;
      this.turns.received(bytes);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.turns.close();
  }

  /** Since the last call. */
  take(): number {
    const { bytes } = this;
    this.bytes = 0;
    return bytes;
  }
}

function always(rate: number): { maxRate: RateSchedule } {
  return { maxRate: RateSchedule.always(rate) };
}

function sum(downloads: readonly Download[]): number {
  return downloads.reduce((bytes, download) => bytes + download.take(), 0);
}

/** Within 5 % of it. */
function expectNear(actual: number, expected: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(0.05 * expected);
}

describe("downloads that share a limit", () => {
  test.each([2048, 64 * 1024, MIB, 20 * MIB])(
    "receive %d bytes per second, in each second from the first",
    async (rate) => {
      const line = new Line(new ScriptedClock(), always(rate));
      const downloads = [line.download(), line.download(), line.download()];
      for (let second = 0; second < 5; second += 1) {
        await line.clock.advance(1000);
        // One part in a turn more or less: at 2 KiB/s, a part is as much as in half a second.
        expect(Math.abs(sum(downloads) - rate)).toBeLessThanOrEqual(Math.max(0.05 * rate, 1024));
      }
    },
  );

  test("have equal parts of it, over one connection or eight", async () => {
    const line = new Line(new ScriptedClock(), always(MIB));
    const one = line.download({ blob: "one" });
    const eight = Array.from({ length: 8 }, () => line.download({ blob: "eight", latency: 3 }));
    await line.clock.advance(10_000);
    expectNear(one.take(), 5 * MIB);
    expectNear(sum(eight), 5 * MIB);
  });

  test("leave to the others what they cannot use, and have no claim to it later", async () => {
    const line = new Line(new ScriptedClock(), always(MIB));
    // A part of 20 KiB each 200 ms.
    const slow = line.download({ latency: 200 });
    const fast = line.download();
    await line.clock.advance(10_000);
    expect(slow.bytes).toBeGreaterThan(0.8 * MIB);
    expectNear(sum([slow, fast]), 10 * MIB);
  });

  test("for clients come before those for nobody, which have what is left", async () => {
    const line = new Line(new ScriptedClock(), always(MIB));
    let isAwaited = false;
    const background = [1, 2].map(() => line.download({ isBackground: () => true }));
    const promoted = line.download({ isBackground: () => !isAwaited });
    await line.clock.advance(3000);
    expectNear(sum([...background, promoted]), 3 * MIB);
    const client = line.download();
    await line.clock.advance(3000);
    expectNear(client.take(), 3 * MIB);
    expect(sum([...background, promoted])).toBeLessThan(0.1 * MIB);
    // A client joins a download that had none.
    isAwaited = true;
    await line.clock.advance(4000);
    expectNear(client.take(), 2 * MIB);
    expectNear(promoted.take(), 2 * MIB);
    client.close();
    promoted.close();
    await line.clock.advance(3000);
    expectNear(sum(background), 3 * MIB);
  });

  test("do not make up for a pause, but for a busy event loop", async () => {
    const line = new Line(new ScriptedClock(), always(MIB));
    await line.clock.advance(60_000);
    const download = line.download();
    await line.clock.advance(1000);
    expectNear(download.take(), MIB);
    line.clock.hang(200);
    await line.clock.advance(800);
    expectNear(download.take(), MIB);
  });

  test("give way to manifests, but not for ever", async () => {
    const line = new Line(new ScriptedClock(), always(MIB));
    const download = line.download();
    await line.clock.advance(1000);
    download.take();
    line.rates.received("a.test", MIB / 2);
    await line.clock.advance(1000);
    expectNear(download.take(), MIB / 2);
    for (let i = 0; i < 100; i += 1) line.rates.received("a.test", MIB);
    await line.clock.advance(2000);
    expectNear(download.take(), MIB);
  });
});

describe("a limit for one upstream beside one for all", () => {
  test("holds for it, and the others have the rest", async () => {
    const line = new Line(new ScriptedClock(), {
      ...always(10 * MIB),
      upstreams: new Map([["a.test", always(MIB)]]),
    });
    const limited = [line.download(), line.download(), line.download()];
    const other = line.download({ upstream: "b.test" });
    await line.clock.advance(5000);
    expectNear(sum(limited), 5 * MIB);
    expectNear(other.take(), 45 * MIB);
    // The limit ends, and nobody catches up on the others.
    line.configure(always(10 * MIB));
    await line.clock.advance(4000);
    expectNear(sum(limited), 30 * MIB);
    expectNear(other.take(), 10 * MIB);
  });
});

describe("a limit that changes", () => {
  const timeZone = process.env["TZ"];
  afterEach(() => {
    if (timeZone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = timeZone;
  });

  test("applies to what is being downloaded, also where one part takes long", async () => {
    const line = new Line(new ScriptedClock(), always(1024));
    const download = line.download();
    await line.clock.advance(3000);
    line.configure(always(MIB));
    download.take();
    await line.clock.advance(1000);
    expectNear(download.take(), MIB);
    line.configure(always(4096));
    await line.clock.advance(4000);
    expect(Math.abs(download.take() - 4 * 4096)).toBeLessThanOrEqual(2048);
  });

  test("does so at its hour, by the local clock", async () => {
    process.env["TZ"] = "America/New_York";
    const windows = [{ from: 8 * 60, to: 8 * 60 + 1, rate: MIB }];
    const line = new Line(new ScriptedClock("2026-01-05T12:59:30Z"), {
      maxRate: new RateSchedule([...windows, { from: 8 * 60 + 1, to: 9 * 60, rate: 2 * MIB }]),
    });
    // Without a limit, there would be no end to what it takes in one moment.
    await line.clock.advance(31_000);
    const download = line.download();
    await line.clock.advance(10_000);
    expectNear(download.take(), 10 * MIB);
    expect(line.rates.status()).toMatchObject({ rate: MIB, until: "08:01" });
    await line.clock.advance(50_000);
    download.take();
    await line.clock.advance(10_000);
    expectNear(download.take(), 20 * MIB);
    expectNear(line.rates.status().used, 2 * MIB);
  });
});

describe("a transfer", () => {
  test("waits for nothing without a limit, and is counted", async () => {
    const { rates, clock, abort } = new Line(new ScriptedClock(), {});
    const turns = rates.open({ upstream: "a.test", blob: "x" });
    for (let i = 0; i < 50; i += 1) {
      await turns.next(abort.signal);
      turns.received(MIB);
      clock.hang(100);
    }
    expectNear(rates.status("a.test").used, 10 * MIB);
    expect(turns.waited).toBe(0);
    expect(rates.isHoldingBack("a.test")).toBe(false);
  });

  test("that is aborted or closed while it waits leaves its place to the others", async () => {
    const line = new Line(new ScriptedClock(), always(MIB));
    const download = line.download();
    await line.clock.advance(1000);
    const [aborted, closed] = [1, 2].map(() => line.rates.open({ upstream: "a.test", blob: "x" }));
    const abort = new AbortController();
    const waiting = aborted?.next(abort.signal);
    const over = closed?.next(line.abort.signal);
    abort.abort(new Error("gone"));
    closed?.close();
    expect(waiting).rejects.toThrow("gone");
    await over;
    download.take();
    await line.clock.advance(1000);
    expectNear(download.take(), MIB);
    expect(line.rates.isHoldingBack("a.test")).toBe(true);
  });

  test("is begun without a turn after a while, and waits no longer than it says", async () => {
    const line = new Line(new ScriptedClock(), always(1024));
    for (let i = 0; i < 20; i += 1) line.download();
    await line.clock.advance(1);
    const turns = line.rates.open({ upstream: "a.test", blob: "x" });
    const begun = turns.next(line.abort.signal, 2000);
    await line.clock.advance(2000);
    await begun;
    expect(turns.waited).toBe(2000);
  });
});
