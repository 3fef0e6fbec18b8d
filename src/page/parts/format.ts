const KIBI = 1024;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `1536` as `1.5 KiB`: three digits at most, as `entrepot status` writes sizes. */
export function bytes(count: number): string {
  let value = Math.max(0, count);
  let unit = 0;
  while (value >= KIBI && unit < UNITS.length - 1) {
    value /= KIBI;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** `1234567` as `1 234 567`, with narrow spaces that do not break. */
export function integer(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `1 image`, `1 234 images`. */
export function counted(count: number, noun: string): string {
  return `${integer(count)} ${noun}${Math.round(count) === 1 ? "" : "s"}`;
}

/** `0.9412` as `94 %`. A ratio that is not all never reads as all. */
export function percent(ratio: number | undefined): string {
  if (ratio === undefined) return "–";
  const shown = Math.round(ratio * 100);
  if (shown === 100 && ratio < 1) return "> 99 %";
  if (shown === 0 && ratio > 0) return "< 1 %";
  return `${shown} %`;
}

/** A length of time in its two largest units: `3 h 12 min`. */
export function duration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 1) return `${Math.max(0, Math.round(milliseconds))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return two(`${hours} h`, minutes % 60, "min");
  const days = Math.floor(hours / 24);
  return days < 10 ? two(`${days} d`, hours % 24, "h") : `${days} d`;
}

function two(first: string, second: number, unit: string): string {
  return second === 0 ? first : `${first} ${second} ${unit}`;
}

/** How long ago something was: `4 min ago`. */
export function ago(at: number, now: number): string {
  const elapsed = now - at;
  if (elapsed < 5000) return "just now";
  return `${roughly(elapsed)} ago`;
}

/** In its largest unit. */
function roughly(milliseconds: number): string {
  const minutes = milliseconds / 60_000;
  if (minutes < 1) return `${Math.round(milliseconds / 1000)} s`;
  if (minutes < 60) return `${Math.floor(minutes)} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

/** How long something is still away: `in 4 min`. */
export function until(at: number, now: number): string {
  return at - now < 1000 ? "now" : `in ${duration(at - now)}`;
}

/** The first characters of a digest's hash, as people compare them. */
export function shortDigest(digest: string): string {
  return digest.slice(digest.indexOf(":") + 1).slice(0, 12);
}

/** What is left of an image's name where its registry is told beside it. */
export function withoutRegistry(image: string, upstream: string): string {
  return image.startsWith(`${upstream}/`) ? image.slice(upstream.length + 1) : image;
}

/** `2026-11-29 02:40 UTC` */
export function utcMoment(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** As the reader's language writes a day and a time, with 24 hours. */
const LOCAL = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

/** In the time zone of whoever reads. */
export function localMoment(at: number): string {
  return LOCAL.format(at);
}

/** A sentence without its backticks, where nothing can be set as code. */
export function plain(text: string): string {
  return text.replaceAll("`", "");
}
