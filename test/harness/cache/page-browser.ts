import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, chromium, type Page } from "playwright-core";
import { isLong } from "../real-components.ts";

export interface Shown {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: "light" | "dark";
  readonly javaScriptEnabled?: boolean;
}

/** A page, and what its browser complains of. */
export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  readonly complaints: string[];
}

export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
}

/** Opens a page in a context of its own. It complains, too, if anything of another origin is asked for. */
export async function openPage(
  browser: Browser,
  url: URL,
  { width = 1280, height = 800, ...options }: Shown = {},
): Promise<OpenPage> {
  const context = await browser.newContext({ viewport: { width, height }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(url.origin)) complaints.push(`asks ${request.url()}`);
  });
  await page.goto(url.href);
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() };
}

/** What axe finds wrong with a page, in light and in dark. */
export async function violationsOf(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    // In the page itself: otherwise, each look opens a page of its own.
    const axe = new AxeBuilder({ page }).setLegacyMode();
    // Only the colours differ: `npm run test:long` looks at all the same.
    if (colorScheme === "dark" && !isLong) axe.withRules(["color-contrast"]);
    const { violations } = await axe.analyze();
    for (const { id, nodes } of violations)
      found.push(...nodes.map(({ html }) => `${colorScheme}: ${id} ${html}`));
  }
  return found;
}

/** Whatever can be used on a page, in its order. */
const USABLE =
  'a[href], button:not([disabled]), input:not([type="hidden"]):not([hidden]), summary, [tabindex="0"]';

/** Where Tab leads to, and what is not right there. */
export interface TabWalk {
  readonly reached: string[];
  readonly usable: string[];
  /** Stops whose focus nobody sees. */
  readonly unseen: string[];
}

/** Walks a page that was just loaded by Tab, from its start to its end. */
export async function walkByTab(page: Page): Promise<TabWalk> {
  await page.evaluate(`
    window.usable = () => [...document.querySelectorAll(${JSON.stringify(USABLE)})].filter((one) => one.checkVisibility());
    window.nameOf = (one) => one.tagName.toLowerCase() + " " + (one.getAttribute("aria-label") ?? one.textContent).trim().slice(0, 60) + " " + window.usable().indexOf(one);
    window.isSeen = (one) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(one);
      const { top, bottom, left, right } = one.getBoundingClientRect();
      const isInside = bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
      return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && isInside;
    };
  `);
  const usable = await page.evaluate<string[]>("window.usable().map(window.nameOf)");
  const reached: string[] = [];
  const unseen: string[] = [];
  for (;;) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate<{ name: string; isSeen: boolean } | null>(
      `((one) => one === null || one === document.body ? null : { name: window.nameOf(one), isSeen: window.isSeen(one) })(document.activeElement)`,
    );
    // Behind the last one is the browser, or the first one again.
    if (stop === null || stop.name === reached[0]) break;
    reached.push(stop.name);
    if (!stop.isSeen) unseen.push(stop.name);
  }
  return { reached, usable, unseen };
}
