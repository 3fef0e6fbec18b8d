import { describe, expect, test } from "bun:test";
import { LineShare, type LineUser } from "./line-share.ts";

const MIB = 1024 * 1024;

/** A download with more to do than there are connections, over a line whose rates are given. */
class Line implements LineUser {
  isReceiving = true;
  isHeldBack = false;
  isFast = false;
  connections = 0;
  readonly share: LineShare;
  #now = 0;

  constructor(limit: number) {
    this.share = new LineShare(() => this.#now);
    this.share.limit = limit;
    this.share.join(this);
  }

  tryConnect(): boolean {
    if (!this.share.take(false)) return false;
    this.connections += 1;
    return true;
  }

  /** One of its connections has ended its part; the next one begins if that is allowed. */
  end(): void {
    this.connections -= 1;
    this.share.release();
  }

  /** @param rate of so many further connections, in bytes per second */
  pass(seconds: number, rate: (further: number) => number): void {
    for (let windows = Math.round(seconds * 5); windows > 0; windows -= 1) {
      this.share.received(rate(this.connections) / 5);
      this.#now += 200;
      this.share.look();
    }
  }
}

const limitedPerConnection = (further: number): number => (1 + further) * 10 * MIB;

describe("the further connections of large downloads", () => {
  test("are added one at a time, up to the limit, where each brings as much as the first one", () => {
    const line = new Line(7);
    line.pass(0.2, limitedPerConnection);
    expect(line.connections).toBe(1);
    line.pass(5, limitedPerConnection);
    expect(line.connections).toBe(7);
  });

  test("are no more than fill the line", () => {
    const line = new Line(7);
    line.pass(20, (further) => Math.min(limitedPerConnection(further), 25 * MIB));
    expect(line.share.allowed).toBe(2);
  });

  test("are none where one alone is fast, and more came while it was getting up to speed", () => {
    const line = new Line(7);
    line.pass(0.2, () => 10 * MIB);
    line.pass(0.2, () => 50 * MIB);
    line.pass(2, () => 95 * MIB);
    expect([line.share.allowed, line.connections]).toEqual([0, 2]);
    line.end();
    line.end();
    line.isFast = true;
    line.pass(30, () => 95 * MIB);
    expect([line.share.allowed, line.connections]).toEqual([0, 0]);
  });

  test("come back where one alone is not fast", () => {
    const line = new Line(7);
    const pass = (seconds: number): void =>
      line.pass(seconds, (further) => Math.min((1 + further) * 40, 100) * MIB);
    pass(0.2);
    for (let windows = 0; windows < 20 && line.share.allowed > 0; windows += 1) pass(0.2);
    expect([line.share.allowed, line.connections]).toEqual([0, 3]);
    for (const _ of [1, 2, 3]) line.end();
    expect(line.connections).toBe(0);
    pass(2);
    expect([line.share.allowed, line.connections]).toEqual([2, 2]);
    pass(40);
    expect(line.share.allowed).toBe(2);
  });

  test("are none while a limit holds back what all receive, and come back with the line", () => {
    const line = new Line(7);
    line.pass(5, limitedPerConnection);
    line.isHeldBack = true;
    line.pass(1, () => 5 * MIB);
    expect(line.share.allowed).toBe(0);
    while (line.connections > 0) line.end();
    line.pass(20, () => 5 * MIB);
    expect([line.share.allowed, line.connections]).toEqual([0, 0]);
    line.isHeldBack = false;
    line.pass(5, limitedPerConnection);
    expect(line.connections).toBe(7);
  });

  test("are tried again after a while, not at once", () => {
    const line = new Line(7);
    line.pass(2, () => 25 * MIB);
    expect(line.share.allowed).toBe(0);
    expect(line.share.isOpen).toBe(false);
    line.end();
    line.pass(7, limitedPerConnection);
    expect(line.share.allowed).toBe(0);
    line.pass(10, limitedPerConnection);
    expect(line.share.allowed).toBe(7);
  });

  test("are not needed where one is fast, and cannot be judged where nothing comes", () => {
    for (const rate of [100 * MIB, 0]) {
      const line = new Line(7);
      line.pass(5, () => rate);
      expect(line.connections).toBe(0);
    }
  });

  test("are given up when one is refused, and not tried for half a minute", () => {
    const line = new Line(7);
    line.pass(5, limitedPerConnection);
    line.share.trouble(true);
    for (let left = 7; left > 0; left -= 1) line.end();
    expect(line.connections).toBe(0);
    line.pass(29, limitedPerConnection);
    expect(line.connections).toBe(0);
    // The others are left for other downloads.
    line.pass(10, limitedPerConnection);
    expect(line.connections).toBe(3);
  });

  test("are half as many after one has broken", () => {
    const line = new Line(6);
    line.pass(5, limitedPerConnection);
    line.share.broke();
    for (let left = 3; left > 0; left -= 1) line.end();
    expect([line.share.allowed, line.connections]).toEqual([3, 3]);
    line.pass(4, limitedPerConnection);
    expect(line.share.allowed).toBe(3);
    line.pass(5, limitedPerConnection);
    expect(line.share.allowed).toBe(6);
  });

  test("are none while the upstream's parts are distrusted", () => {
    const line = new Line(6);
    line.share.distrust();
    line.pass(590, limitedPerConnection);
    expect([line.share.isDistrusted, line.connections]).toEqual([true, 0]);
    line.pass(20, limitedPerConnection);
    expect([line.share.isDistrusted, line.connections]).toEqual([false, 6]);
  });

  test("are not judged before they receive", () => {
    const line = new Line(7);
    line.pass(0.2, limitedPerConnection);
    line.isReceiving = false;
    line.pass(1, () => 10 * MIB);
    expect(line.share.allowed).toBe(1);
    line.isReceiving = true;
    line.pass(0.6, limitedPerConnection);
    expect(line.share.allowed).toBe(2);
  });

  test("are neither kept nor given up by what comes for a client meanwhile", () => {
    const line = new Line(7);
    expect(line.share.take(true)).toBe(true);
    line.pass(2, () => 20 * MIB);
    expect(line.share.allowed).toBe(0);
    line.share.release();
    line.pass(0.2, limitedPerConnection);
    expect([line.share.allowed, line.connections]).toEqual([1, 1]);
    // One that ends in the middle of a trial takes its bytes with it.
    expect(line.share.take(true)).toBe(true);
    line.pass(0.4, () => 15 * MIB);
    line.share.release();
    line.pass(6, limitedPerConnection);
    expect(line.connections).toBe(7);
  });

  test("are not given up while they are still reaching their rate", () => {
    const line = new Line(7);
    line.pass(0.4, limitedPerConnection);
    expect(line.share.allowed).toBe(1);
    // Slow start: for most of a second, the further connection brings next to nothing.
    line.pass(0.8, () => 10.5 * MIB);
    expect(line.share.allowed).toBe(1);
    line.pass(0.4, limitedPerConnection);
    expect(line.share.allowed).toBe(2);
  });

  test("take the place of a download's own connection while that is idle", () => {
    const line = new Line(7);
    line.pass(10, (further) => Math.min(limitedPerConnection(further), 25 * MIB));
    line.end();
    expect(line.connections).toBe(2);
    line.share.waits(line);
    expect(line.connections).toBe(3);
    line.share.receives(line);
    line.end();
    expect(line.connections).toBe(2);
  });

  test("are there at once for bytes that a client asks for, up to the limit", () => {
    const line = new Line(2);
    expect(line.share.take(false)).toBe(false);
    expect([1, 2, 3].map(() => line.share.take(true))).toEqual([true, true, false]);
  });

  test("go to what clients wait for first, and are given back by what they do not wait for", () => {
    let now = 0;
    const share = new LineShare(() => now);
    share.limit = 2;
    const taken: string[] = [];
    const user = (name: string, rank: number, most: number): LineUser => ({
      isReceiving: true,
      rank,
      tryConnect: () => {
        if (taken.filter((other) => other === name).length >= most || !share.take(false)) {
          return false;
        }
        taken.push(name);
        return true;
      },
      disconnect: () => {
        const at = rank === 0 ? -1 : taken.lastIndexOf(name);
        if (at < 0) return false;
        taken.splice(at, 1);
        share.release();
        return true;
      },
    });
    share.join(user("ahead", 1, 2));
    share.join(user("asked", 0, 1));
    for (const megabytes of [10, 10, 20]) {
      share.received((megabytes * MIB) / 5);
      now += 200;
      share.look();
    }
    expect(taken).toEqual(["asked", "ahead"]);
    share.trouble(true);
    expect(taken).toEqual(["asked"]);
  });
});
