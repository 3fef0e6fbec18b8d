import { z } from "zod";
import { isPlatform } from "../../oci/platform-match.ts";
import { quote } from "../parsing/problems.ts";
import { type ImageSelector, MAX_SELECTOR, parseImageSelector } from "./image-selector.ts";
import { isTimezone, parseSchedule, type Schedule, timezoneProblem } from "./schedule.ts";

/** How many images one list may name, and how many lists there may be. */
const MAX_IMAGES = 1000;
const MAX_LISTS = 100;
/** When a list is warmed for which nothing else is said. */
const DEFAULT_SCHEDULE = "@daily";
const DEFAULT_MAX = 20;
const LIST_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/i;

/** Where images may come from that are not written down. */
export const WARM_SOURCES = ["cluster", "pulls"] as const;

/** A list of images that are here before anybody pulls them. */
export interface WarmList {
  readonly name: string;
  readonly images: readonly ImageSelector[];
  readonly from: readonly (typeof WARM_SOURCES)[number][];
  /** Empty for the platforms in use. */
  readonly platforms: readonly string[];
  readonly referrers: boolean;
  readonly pin: boolean;
  /** How many images a range of versions may select. */
  readonly max: number;
  readonly schedule: Schedule;
}

const selector = z
  .string()
  .max(MAX_SELECTOR)
  .transform((text, context) => {
    const parsed = parseImageSelector(text);
    if (typeof parsed !== "string") return parsed;
    context.addIssue({ code: "custom", message: `${quote(text)} ${parsed}` });
    return z.NEVER;
  })
  .meta({ examples: ["docker.io/library/nginx:1.27", "docker.io/library/node:>=22 <25"] });

const platform = z
  .string()
  .max(100)
  .refine((text) => text === "all" || isPlatform(text), {
    message: "is not a platform: write os/architecture, such as linux/amd64, or all",
  })
  .meta({ examples: ["linux/arm64", "all"] });

const schedule = z
  .string()
  .max(200)
  .superRefine((text, context) => {
    const parsed = parseSchedule(text);
    if (typeof parsed !== "string") return;
    context.addIssue({ code: "custom", message: `${quote(text)} ${parsed}` });
  });

const timezone = z
  .string()
  .max(100)
  .superRefine((text, context) => {
    if (!isTimezone(text)) context.addIssue({ code: "custom", message: timezoneProblem(text) });
  });

const list = z
  .strictObject({
    images: z
      .array(selector)
      .max(MAX_IMAGES)
      .optional()
      .describe(
        "Images by name, ranges of versions as npm has them, such as docker.io/library/node:>=22 <25, and patterns of tags with *.",
      ),
    from: z
      .array(z.enum(WARM_SOURCES))
      .max(WARM_SOURCES.length)
      .optional()
      .describe(
        "Further images: cluster for what runs, or is to run, in the cluster of kubernetes; pulls for what was pulled of late, see readiness.pulledWithin. Default: none.",
      ),
    schedule: schedule
      .optional()
      .describe(
        "When the images are looked at, as cron has it: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly. They are looked at after each start, too. Default: @daily.",
      ),
    timezone: timezone
      .optional()
      .describe("The time zone of the schedule, such as Europe/Berlin. Default: that of TZ."),
    platforms: z
      .array(platform)
      .max(32)
      .optional()
      .describe(
        "The platforms that are wanted of images that have several, such as linux/amd64, or all. Default: those for which images are pulled here.",
      ),
    referrers: z
      .boolean()
      .optional()
      .describe("Whether signatures, SBOMs and attestations are wanted. Default: false."),
    pin: z
      .boolean()
      .optional()
      .describe(
        "Whether the images are pinned, so that they are never evicted. Default: false: what is not used is evicted like any other image.",
      ),
    max: z
      .int()
      .min(1)
      .max(1000)
      .optional()
      .describe(
        "How many images a range or a pattern may select: those with the highest versions. Default: 20.",
      ),
  })
  .refine(({ images = [], from = [] }) => images.length + from.length > 0, {
    message: "has no images: add images or from",
  });

/** `warm` of entrepot.yaml. */
export const warmSchema = z.record(z.string(), list).superRefine((lists, context) => {
  const names = Object.keys(lists);
  if (names.length > MAX_LISTS) {
    const message = `has too many lists: the maximum is ${MAX_LISTS}`;
    context.addIssue({ code: "custom", message });
  }
  for (const name of names) {
    if (LIST_NAME.test(name)) continue;
    const message = "is not a name of up to 64 letters, digits, '.', '_' and '-'";
    context.addIssue({ code: "custom", path: [name], message });
  }
});

export type WarmEntry = z.infer<typeof warmSchema>;

/** The lists of a configuration that was checked. */
export function warmLists(entry: WarmEntry): WarmList[] {
  return Object.entries(entry).flatMap(([name, written]) => {
    const { images = [], from = [], platforms = [], referrers = false, pin = false } = written;
    const parsed = parseSchedule(written.schedule ?? DEFAULT_SCHEDULE, written.timezone);
    if (typeof parsed === "string") return [];
    const { max = DEFAULT_MAX } = written;
    return [{ name, images, from, platforms, referrers, pin, max, schedule: parsed }];
  });
}
