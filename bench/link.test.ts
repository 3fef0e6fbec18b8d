import { expect, test } from "bun:test";
import { type Flow, Line, type LinkShape } from "./link.ts";

const SEGMENT = 1448;

/** A line on a clock that the test moves, with receivers that read whatever arrives at once. */
class Clock {
  readonly line: Line;
  readonly #arrivals: { at: number; flow: Flow; bytes: number }[] = [];
  readonly #received = new Map<Flow, number>();
  now = 1_000_000;

  constructor(shape: LinkShape) {
    this.line = new Line(shape);
  }

  open(bytes: number): Flow {
    const flow = this.line.open(this.now);
    this.line.offer(flow, bytes, this.now);
    return flow;
  }

  /** Moves in steps of `step` ms, as a timer would. */
  move(ms: number, step = 1): void {
    for (const end = this.now + ms; this.now < end;) {
      this.now += step;
      for (let [next] = this.#arrivals; next && next.at <= this.now; [next] = this.#arrivals) {
        this.#arrivals.shift();
        next.flow.read(next.bytes, this.now);
        this.#received.set(next.flow, this.received(next.flow) + next.bytes);
      }
      this.line.advance(this.now, (flow, bytes) =>
        this.#arrivals.push({ at: this.now + this.line.delayMs, flow, bytes }),
      );
    }
  }

  received(flow: Flow): number {
    return this.#received.get(flow) ?? 0;
  }
}

test("a line delivers its rate after its delay, to one connection", () => {
  const clock = new Clock({ roundTripMs: 50, megabytesPerSecond: 100 });
  const flow = clock.open(1e9);
  clock.move(24);
  expect(clock.received(flow)).toBe(0);
  clock.move(1001);
  expect(clock.received(flow) / 100e6).toBeCloseTo(1, 2);
});

test("connections share a line fairly, and what one leaves goes to the others", () => {
  const clock = new Clock({ roundTripMs: 20, megabytesPerSecond: 90 });
  const flows = [clock.open(1e9), clock.open(1e9), clock.open(5e6)];
  clock.move(110);
  for (const flow of flows) expect(clock.received(flow) / 3e6).toBeCloseTo(1, 1);
  clock.move(1000);
  // 95.4 MB in all, of which the third connection had only five.
  expect(flows.map((flow) => Math.round(clock.received(flow) / 1e6))).toEqual([47, 47, 5]);
});

test("a connection gets no more than its own rate, however much of the line is free", () => {
  const shape = { roundTripMs: 50, megabytesPerSecond: 100, connectionMegabytesPerSecond: 25 };
  const clock = new Clock(shape);
  const first = clock.open(1e9);
  clock.move(1025);
  expect(clock.received(first) / 25e6).toBeCloseTo(1, 2);
  const others = Array.from({ length: 7 }, () => clock.open(1e9));
  clock.move(1025);
  // Eight of them would be 200 MB/s.
  for (const flow of others) expect(clock.received(flow) / 12.5e6).toBeCloseTo(1, 1);
});

test("slow start sends ten segments first and doubles them in each round trip", () => {
  const clock = new Clock({ roundTripMs: 50, megabytesPerSecond: 100, slowStart: true });
  const flow = clock.open(1e9);
  const received = [0, 1, 2, 3, 4].map((trips) => {
    clock.move(trips === 0 ? 30 : 51);
    return clock.received(flow) / SEGMENT;
  });
  expect(received).toEqual([10, 30, 70, 150, 310]);
});

test.each([
  ["within the retransmission timeout a connection keeps its window", 200, 310],
  ["an idle connection begins with the initial window again", 400, 10],
])("%s", (_, idleMs, segments) => {
  const clock = new Clock({ roundTripMs: 50, megabytesPerSecond: 0, slowStart: true });
  const flow = clock.open(310 * SEGMENT);
  clock.move(30 + 5 * 51);
  expect(clock.received(flow)).toBe(310 * SEGMENT);
  clock.move(idleMs - 51);
  clock.line.offer(flow, 310 * SEGMENT, clock.now);
  clock.move(30);
  expect(clock.received(flow) / SEGMENT - 310).toBe(segments);
});

test("a receiver that does not read stops its connection at one window", () => {
  const line = new Line({ roundTripMs: 50, megabytesPerSecond: 100 });
  const flow = line.open(0);
  line.offer(flow, 1e9, 0);
  let sent = 0;
  for (let now = 1; now < 2000; now += 1) line.advance(now, (_, bytes) => (sent += bytes));
  expect(sent).toBe(2 * 50 * 100_000 + 256 * 1024);
});

test("late timers cost no bandwidth, and idle time gives none", () => {
  const clock = new Clock({ roundTripMs: 10, megabytesPerSecond: 100 });
  const flow = clock.open(1e9);
  clock.move(1000, 7);
  expect(clock.received(flow) / 100e6).toBeCloseTo(1, 1);

  const idle = new Clock({ roundTripMs: 10, megabytesPerSecond: 100 });
  const small = idle.open(1000);
  idle.move(20);
  idle.now += 10_000;
  idle.line.offer(small, 1e9, idle.now);
  idle.move(25);
  expect((idle.received(small) - 1000) / 2e6).toBeCloseTo(1, 1);
});

test("nothing is sent before a connection is established, and an ended one takes no share", () => {
  const clock = new Clock({ roundTripMs: 10, megabytesPerSecond: 100 });
  const late = clock.line.open(clock.now + 500);
  clock.line.offer(late, 1e9, clock.now);
  const flow = clock.open(1e9);
  clock.move(500);
  expect(clock.received(late)).toBe(0);
  clock.line.close(flow);
  const before = clock.received(late);
  clock.move(505);
  expect((clock.received(late) - before) / 50e6).toBeCloseTo(1, 1);
  clock.line.close(late);
  expect(clock.line.isBusy).toBe(false);
});
