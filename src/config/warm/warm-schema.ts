import { z } from "zod";
import { isPlatform } from "../../oci/platform-match.ts";
import { quote } from "../parsing/problems.ts";
import { type ImageSelector, MAX_SELECTOR, parseImageSelector } from "./image-selector.ts";
import { isTimezone, parseSchedule, type Schedule, timezoneProblem } from "./schedule.ts";

/** How many images one list may name, and how many lists there may be. */
const MAX_IMAGES = 1000;
const MAX_LISTS = 100;
/** Of all lists together. */
const MAX_RANGES = 500;
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

/** `warm` of entrepot.yaml. What is written in it is read here, since ranges take time: there are not too many. */
export const warmSchema = z.record(z.string(), list).transform((written, context): WarmList[] => {
  const report = (message: string, ...path: (string | number)[]): void => {
    context.addIssue({ code: "custom", message, path });
  };
  const names = Object.keys(written);
  if (names.length > MAX_LISTS) report(`has too many lists: the maximum is ${MAX_LISTS}`);
  for (const name of names) {
    if (LIST_NAME.test(name)) continue;
    report("is not a name of up to 64 letters, digits, '.', '_' and '-'", name);
  }
  const texts = Object.values(written).flatMap(({ images = [] }) => images);
  if (texts.filter(isRange).length > MAX_RANGES) {
    report(`has too many ranges of versions and patterns: the maximum is ${MAX_RANGES}`);
    return z.NEVER;
  }
  return Object.entries(written).flatMap(([name, entry]) => readList(name, entry, report) ?? []);
});

/** Whether reading it takes time. */
function isRange(text: string): boolean {
  return /[<>=~^*|\s]/.test(text);
}

function readList(
  name: string,
  { images = [], ...written }: z.infer<typeof list>,
  report: (message: string, ...path: (string | number)[]) => void,
): WarmList | undefined {
  const selectors = images.flatMap((text, index): readonly ImageSelector[] => {
    const parsed = parseImageSelector(text);
    if (typeof parsed !== "string") return [parsed];
    report(`${quote(text)} ${parsed}`, name, "images", index);
    return [];
  });
  const { from = [], platforms = [], referrers = false, pin = false, max = DEFAULT_MAX } = written;
  const parsed = parseSchedule(written.schedule ?? DEFAULT_SCHEDULE, written.timezone);
  if (typeof parsed === "string") return undefined;
  return { name, images: selectors, from, platforms, referrers, pin, max, schedule: parsed };
}
