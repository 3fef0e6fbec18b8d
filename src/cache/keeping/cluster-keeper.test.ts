import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import type { ClusterImage, ClusterState } from "../../kubernetes/cluster.ts";
import { imageName, parseImageReference } from "../../oci/image-reference.ts";
import { ClusterKeeper } from "./cluster-keeper.ts";
import { KeptFile } from "./kept-file.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function clusterImage(name: string, isRunning = true): ClusterImage {
  const image = parseImageReference(name);
  if (!image) throw new Error(`${name} is not valid`);
  return { image, by: "Pod a/b", isRunning };
}

/** A cluster whose images and state a test sets, and a keeper of it. */
class Subject implements AsyncDisposable {
  images: readonly ClusterImage[] = [];
  /** Undefined before it is begun to be read. */
  state: ClusterState | undefined = { isCurrent: true };
  readonly failures: unknown[] = [];
  kept: readonly string[] = [];
  limit = 0;
  #now = 0;
  #keeper: ClusterKeeper;

  constructor(
    readonly path: string,
    readonly days: number,
    private readonly remove: () => Promise<void>,
  ) {
    this.#keeper = this.#open();
  }

  static async open(days: number): Promise<Subject> {
    const dir = await tempDir();
    return new Subject(dir.file("kept.json"), days, () => dir[Symbol.asyncDispose]());
  }

  update(): Promise<void> {
    return this.#keeper.update();
  }

  /** Time passes, and it is looked every hour, as often as the test needs. */
  async wait(milliseconds: number): Promise<void> {
    for (let passed = 0; passed < milliseconds; passed += HOUR) {
      this.#now += HOUR;
      await this.update();
    }
  }

  restart(): void {
    this.#keeper[Symbol.dispose]();
    this.kept = [];
    this.#now = 0;
    this.#keeper = this.#open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keeper[Symbol.dispose]();
    await this.remove();
  }

  #open(): ClusterKeeper {
    const images = async function* (this: Subject): AsyncGenerator<ClusterImage> {
      yield* this.images;
    }.bind(this);
    return new ClusterKeeper({
      cluster: () => this.state && { images, state: this.state },
      file: new KeptFile(this.path),
      days: this.days,
      maxSize: () => 1000,
      keep: ({ images: kept, limit }) => {
        this.kept = kept.map(imageName);
        this.limit = limit;
      },
      failed: (error) => this.failures.push(error),
      now: () => this.#now,
    });
  }
}

const A = "docker.io/library/a:1";
const B = "docker.io/library/b:1";

test("what runs is kept, and what is scaled to zero is not; what ran is kept for the days", async () => {
  await using subject = await Subject.open(2);
  subject.images = [clusterImage(A), clusterImage(B), clusterImage("c", false)];
  await subject.update();
  expect(subject.kept).toEqual([A, B]);
  expect(subject.limit).toBe(800);
  subject.images = [clusterImage(B)];
  await subject.wait(2 * DAY - HOUR);
  // What runs comes first: if there is no room for all, it is kept.
  expect(subject.kept).toEqual([B, A]);
  await subject.wait(HOUR);
  expect(subject.kept).toEqual([B]);
  subject.images = [];
  await subject.wait(DAY);
  subject.images = [clusterImage(B)];
  await subject.update();
  subject.images = [];
  // Its days begin anew.
  await subject.wait(2 * DAY - HOUR);
  expect(subject.kept).toEqual([B]);
});

test("after a restart, what ran before is kept before the cluster is read", async () => {
  await using subject = await Subject.open(2);
  subject.images = [clusterImage(A)];
  await subject.update();
  subject.state = undefined;
  subject.restart();
  expect(subject.kept).toEqual([A]);
  await subject.update();
  expect(subject.kept).toEqual([A]);
});

test("a cluster that is away takes nothing away, however long it is", async () => {
  await using subject = await Subject.open(1);
  subject.images = [clusterImage(A), clusterImage(B)];
  await subject.update();
  subject.state = { isCurrent: false, problem: "away" };
  subject.images = [];
  await subject.wait(30 * DAY);
  expect(subject.kept).toEqual([A, B]);
  subject.state = { isCurrent: true };
  subject.images = [clusterImage(A)];
  await subject.update();
  expect(subject.kept).toEqual([A, B]);
  await subject.wait(DAY - HOUR);
  expect(subject.kept).toEqual([A, B]);
  await subject.wait(HOUR);
  expect(subject.kept).toEqual([A]);
});

test("after a restart all is kept at once, also while the cluster is away", async () => {
  await using subject = await Subject.open(1);
  subject.images = [clusterImage(A)];
  await subject.update();
  subject.images = [];
  await subject.wait(10 * HOUR);
  subject.state = { isCurrent: false };
  subject.restart();
  expect(subject.kept).toEqual([A]);
  await subject.wait(10 * DAY);
  subject.state = { isCurrent: true };
  await subject.update();
  expect(subject.kept).toEqual([A]);
  await subject.wait(13 * HOUR);
  expect(subject.kept).toEqual([A]);
  await subject.wait(2 * HOUR);
  expect(subject.kept).toEqual([]);
});

test.each(["", "{", "[]", '{"images":[["a",-1]]}', '{"images":[[1,2]]}'])(
  "a damaged file %p counts as none",
  async (text) => {
    await using subject = await Subject.open(1);
    writeFileSync(subject.path, text);
    subject.restart();
    expect(subject.kept).toEqual([]);
  },
);

test("a file that cannot be written is told, and all goes on", async () => {
  const other = new Subject("/proc/no/kept.json", 1, async () => {});
  other.images = [clusterImage(A)];
  await other.update();
  expect(other.kept).toEqual([A]);
  expect(other.failures).toHaveLength(1);
  await other[Symbol.asyncDispose]();
});
