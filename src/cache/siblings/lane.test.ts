import { expect, test } from "bun:test";
import { digestNumber } from "../../store/storetest/sample-names.ts";
import { LineShare } from "../fetch/segments/line-share.ts";
import { type Begun, Lane, type Sibling } from "./lane.ts";
import { Pull } from "./pull.ts";

const MIB = 1024 * 1024;
const KIB = 1024;

/** A download that is only said to be one. */
class Download implements Begun {
  received = 0;
  isPaused = false;
  isSuspended = false;

  constructor(readonly sibling: Sibling<string>) {}

  pause(): boolean {
    this.isPaused = true;
    return true;
  }

  resume(): void {
    this.isPaused = false;
  }

  suspend(): void {
    this.isSuspended = true;
  }
}

interface Line {
  /** Bytes per second of one connection, and of all of them. */
  readonly connection: number;
  readonly all: number;
}

/** A lane with a clock of its own, over a line whose rates are given. */
class World {
  now = 0;
  asked = 3;
  connections = 32;
  isAllowed = true;
  readonly share = new LineShare(() => this.now);
  readonly downloads: Download[] = [];
  readonly pull = new Pull(0);
  readonly lane: Lane<string>;

  constructor(limit = 16) {
    this.share.limit = limit;
    this.lane = new Lane({
      share: this.share,
      asked: () => this.asked,
      connections: () => this.connections,
      isAllowed: () => this.isAllowed,
      begin: (sibling) => {
        const download = new Download(sibling);
        this.downloads.push(download);
        return download;
      },
      now: () => this.now,
    });
  }

  /** Adds layers of these sizes, the lowest first. */
  add(sizes: readonly number[], { pull = this.pull, from = 0 } = {}): void {
    this.lane.add(
      sizes.map((size, at) => ({
        digest: digestNumber(from + at),
        size,
        position: from + at,
        repo: "app",
        pull,
      })),
    );
  }

  /** The positions of the layers that are downloaded now. */
  get running(): number[] {
    return this.downloads
      .filter(({ sibling, isPaused }) => !isPaused && this.lane.expects(sibling.digest))
      .map(({ sibling }) => sibling.position);
  }

  end(position: number, isStored = true): void {
    const download = this.downloads.findLast(({ sibling }) => sibling.position === position);
    if (!download) throw new Error(`layer ${position} was not begun`);
    this.lane.ended(download.sibling, isStored);
  }

  /** Lets time pass on a line, while clients and siblings download. */
  pass(seconds: number, { connection, all }: Line): void {
    for (let windows = Math.round(seconds * 5); windows > 0; windows -= 1) {
      this.pull.asked(undefined, this.now);
      const rate = Math.min(all, connection * (this.asked + this.running.length));
      this.share.received(rate / 5);
      for (const download of this.downloads) if (!download.isPaused) download.received += 1000;
      this.now += 200;
      this.share.look();
    }
  }
}

test("small layers begin at once, the lowest first, sixteen at a time and no more than 4 MiB", () => {
  const world = new World();
  world.add(Array.from({ length: 40 }, () => 10 * KIB));
  expect(world.running).toEqual(Array.from({ length: 16 }, (_, at) => at));
  world.end(5);
  expect(world.running).toContain(16);
  expect(world.running).toHaveLength(16);
  const larger = new World();
  larger.add(Array.from({ length: 40 }, () => 900 * KIB));
  expect(larger.running).toEqual([0, 1, 2, 3]);
  const few = new World(4);
  few.add(Array.from({ length: 40 }, () => 10 * KIB));
  expect(few.running).toEqual([0, 1, 2, 3]);
});

test("large layers are not begun on a line that is full", () => {
  const world = new World();
  world.add([30 * MIB, 30 * MIB, 10 * KIB]);
  expect(world.running).toEqual([2]);
  world.end(2);
  world.pass(5, { connection: 25 * MIB, all: 25 * MIB });
  // One is tried, brings nothing, and gives its connection back.
  expect(world.downloads.map(({ sibling }) => sibling.position)).toEqual([2, 0]);
  expect(world.running).toEqual([]);
  expect(world.share.running).toBe(0);
});

test("while connections of clients still become faster, no large layer is begun", () => {
  const world = new World();
  world.add([30 * MIB, 30 * MIB]);
  for (const megabytes of [2, 4, 8, 16])
    world.pass(0.2, { connection: 99 * MIB, all: megabytes * MIB });
  expect(world.downloads).toEqual([]);
  world.pass(0.4, { connection: 99 * MIB, all: 16 * MIB });
  expect(world.downloads).toHaveLength(1);
});

test("where each connection is limited, large layers begin one after the other, the lowest first", () => {
  const world = new World();
  world.add([30 * MIB, 30 * MIB, 30 * MIB, 30 * MIB]);
  world.pass(0.4, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running).toEqual([0]);
  world.pass(3, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running).toEqual([0, 1, 2, 3]);
  expect(world.share.running).toBe(4);
});

test("a layer that was paused goes on before another one begins", () => {
  const world = new World();
  world.add([30 * MIB, 30 * MIB]);
  world.pass(5, { connection: 25 * MIB, all: 25 * MIB });
  expect(world.downloads.map(({ isPaused }) => isPaused)).toEqual([true]);
  world.pass(20, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running).toEqual([0, 1]);
  expect(world.downloads).toHaveLength(2);
});

test("a lower layer that is asked for later comes first", () => {
  const world = new World(2);
  world.add([10 * KIB, 10 * KIB, 10 * KIB], { from: 5 });
  world.add([10 * KIB, 10 * KIB], { from: 2 });
  expect(world.running).toEqual([5, 6]);
  expect(world.lane.waiting.map(({ position }) => position)).toEqual([2, 3, 7]);
  world.end(5);
  expect(world.running).toEqual([6, 2]);
});

test("a layer that a client asks for is its own: its connection is free for the next one", () => {
  const world = new World(1);
  world.add([30 * MIB, 30 * MIB]);
  world.pass(1, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running).toEqual([0]);
  world.asked += 1;
  expect(world.lane.asked(digestNumber(0))).toBe(true);
  expect(world.running).toEqual([1]);
  expect(world.lane.asked(digestNumber(9))).toBe(false);
});

test("clients come first: without a connection for them, the last large layer gives its own back", () => {
  const world = new World();
  world.connections = 6;
  world.add([30 * MIB, 30 * MIB, 30 * MIB, 30 * MIB]);
  world.pass(4, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running).toEqual([0, 1, 2]);
  world.asked = 4;
  world.lane.makeWay();
  expect(world.running).toEqual([0, 1]);
  world.lane.makeWay();
  expect(world.running).toEqual([0, 1]);
  world.asked = 3;
  world.lane.proceed();
  expect(world.running).toEqual([0, 1, 2]);
  expect(world.downloads).toHaveLength(3);
});

test("clients come first: without a connection for any request of theirs, a small layer gives way as well", () => {
  const world = new World();
  world.add([10 * KIB, 30 * MIB, 20 * KIB]);
  world.pass(0.4, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running).toEqual([0, 2, 1]);
  for (const running of [[0, 2], [0], []]) {
    world.lane.makeWay(false);
    expect(world.running).toEqual(running);
  }
  expect(world.share.running).toBe(0);
  // What was paused is held to the same conditions as what waits.
  world.isAllowed = false;
  world.lane.proceed();
  world.pass(2, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running).toEqual([]);
  world.isAllowed = true;
  world.lane.proceed();
  world.pass(20, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running.toSorted((one, other) => one - other)).toEqual([0, 1, 2]);
  expect(world.downloads).toHaveLength(3);
});

test("an upstream that refuses a further connection keeps none for siblings", () => {
  const world = new World();
  world.add([30 * MIB, 30 * MIB]);
  world.pass(2, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running).toEqual([0, 1]);
  world.share.trouble(true);
  expect(world.running).toEqual([]);
});

test("what nobody is going to ask for is not begun any more, and what has begun goes on", () => {
  const world = new World(1);
  const left = new Pull(0);
  world.add([10 * KIB, 10 * KIB, 10 * KIB], { pull: left });
  expect(world.running).toEqual([0]);
  world.now = 5000;
  world.end(0);
  expect(world.running).toEqual([]);
  expect(world.lane.isIdle).toBe(true);
});

test("while clients download nothing, one large layer has the line", () => {
  const world = new World();
  world.asked = 0;
  world.add([30 * MIB, 30 * MIB]);
  expect(world.running).toEqual([0]);
  expect(world.share.running).toBe(0);
  world.end(0);
  expect(world.running).toEqual([1]);
  // It ends with the next request of a client, unless further connections are worth it.
  world.asked = 1;
  world.lane.makeWay();
  expect(world.running).toEqual([]);
  world.pass(1, { connection: 2 * MIB, all: 100 * MIB });
  expect(world.running).toEqual([1]);
  expect(world.share.running).toBe(1);
});

test("nothing is begun where it is not allowed, and the rest of an image is left alone after a failure", () => {
  const world = new World(1);
  world.isAllowed = false;
  world.add([10 * KIB, 10 * KIB, 10 * KIB]);
  expect(world.downloads).toEqual([]);
  world.isAllowed = true;
  world.lane.proceed();
  expect(world.running).toEqual([0]);
  world.end(0, false);
  expect(world.running).toEqual([]);
  expect(world.lane.isIdle).toBe(true);
});

test("what is paused and may not go on is ended once its clients have left", () => {
  const world = new World();
  world.add([30 * MIB]);
  world.pass(0.4, { connection: 2 * MIB, all: 100 * MIB });
  world.lane.makeWay(false);
  world.isAllowed = false;
  world.lane.proceed();
  expect(world.downloads.map(({ isSuspended }) => isSuspended)).toEqual([false]);
  world.now += 5000;
  world.lane.proceed();
  expect(world.downloads.map(({ isSuspended }) => isSuspended)).toEqual([true]);
  expect(world.lane.isIdle).toBe(true);
});
