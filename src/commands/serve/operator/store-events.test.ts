import { expect, test } from "bun:test";
import type { NewEvent } from "../../../events/event.ts";
import { digestOf } from "../../../oci/digest.ts";
import { LocalProblems } from "../../../telemetry/local-problems.ts";
import { createLog } from "../../../telemetry/log.ts";
import { Metrics } from "../../../telemetry/metrics.ts";
import { Emitter } from "../emitter.ts";
import { StoreReporter } from "../store-reporter.ts";

test("receivers are told of a full disk, of its end, and of a corrupt blob", () => {
  const told: NewEvent[] = [];
  const log = createLog({ format: "json", level: "silent" });
  const reporter = new StoreReporter({
    log,
    metrics: new Metrics(),
    localProblems: new LocalProblems(log),
    tell: (event) => told.push(event),
    blobRemoved: new Emitter(),
    filesVanished: new Emitter(),
    recordsLeft: new Emitter(),
  });
  const digest = digestOf(new Uint8Array(1));
  reporter.fullStateChanged({ isFull: true, reason: "no space is left" });
  reporter.fullStateChanged({ isFull: false, reason: "" });
  reporter.corrupt(digest);
  expect(told).toMatchObject([
    {
      type: "disk.full",
      data: {
        message:
          "nothing can be stored: pulls are streamed without being stored meanwhile (no space is left)",
        reason: "no space is left",
      },
    },
    { type: "disk.recovered", data: { message: "pulled blobs are stored again" } },
    {
      type: "blob.corrupt",
      subject: digest,
      data: {
        message: "corrupt blob quarantined: it is fetched again when it is requested",
        digest,
      },
    },
  ]);
});
