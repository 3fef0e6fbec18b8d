import { afterAll, beforeAll, expect } from "bun:test";
import type { Browser } from "playwright-core";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { openPage, startBrowser, violationsOf } from "./harness/cache/page-browser.ts";
import { textImage } from "./harness/images/images.ts";
import { real, realTest } from "./harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";

const [older, newer] = [textImage({ text: "older" }), textImage({ text: "newer" })];
const short = (digest: string): string => digest.slice(7, 19);

let browser: Browser;
let upstream: ScriptedUpstream;
let cache: Entrepot;

beforeAll(async () => {
  if (!real.available) return;
  browser = await startBrowser();
  upstream = await startScriptedUpstream();
  cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      policies: [{ match: "reg.test/held", minAge: "1d" }],
      upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "0s" } },
    },
  });
  for (const image of [older, newer]) {
    for (const name of ["held", "free"]) {
      upstream.add(name, image, "1");
      expect((await pull(name)).status).toBe(200);
    }
  }
  await pull("held");
}, 60_000);

afterAll(async () => {
  if (!real.available) return;
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  await browser.close();
});

async function pull(name: string) {
  const response = await cache.get(`/v2/${name}/manifests/1?ns=reg.test`);
  await response.bytes();
  return { status: response.status, digest: response.headers.get("docker-content-digest") };
}

realTest(
  "a page tells what is held and why, and releases it",
  async () => {
    await using opened = await openPage(browser, new URL("/held", cache.adminUrl));
    const { page, complaints } = opened;
    const row = page.locator('[data-held="reg.test/held:1"]');
    expect(await row.textContent()).toContain("this is the digest before");
    expect(await row.textContent()).toContain(short(older.manifest.digest));
    await page.locator(".liveness.live").waitFor();
    expect(await violationsOf(page)).toEqual([]);
    for (const width of [320, 768, 2560]) {
      await page.setViewportSize({ width, height: 900 });
      expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(width);
    }
    await row.getByRole("button", { name: "Release" }).press("Enter");
    await row.getByRole("button", { name: "Yes: Release" }).press("Enter");
    await page.locator('[data-override="release"]').waitFor();
    expect(await page.locator("[data-held]").count()).toBe(0);
    expect((await pull("held")).digest).toBe(newer.manifest.digest);
    expect(complaints).toEqual([]);
  },
  60_000,
);

realTest(
  "the page of an image tells what its tag was, rolls it back, and ends that",
  async () => {
    const url = new URL("/image?name=reg.test/free:1", cache.adminUrl);
    await using opened = await openPage(browser, url);
    const { page, complaints } = opened;
    const former = page.locator(`[data-stay="${older.manifest.digest}"]`);
    await former.getByRole("button", { name: "Roll back to it" }).press("Enter");
    await former.getByRole("button", { name: "Yes: Roll back to it" }).press("Enter");
    await former.locator(".state", { hasText: "served" }).waitFor();
    expect((await pull("free")).digest).toBe(older.manifest.digest);
    await page.locator(".liveness.live").waitFor();
    expect(await violationsOf(page)).toEqual([]);
    for (const width of [320, 768, 2560]) {
      await page.setViewportSize({ width, height: 900 });
      expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(width);
    }
    const override = page.locator('[data-override="rollback"]');
    expect(await override.textContent()).toContain("somebody at the admin port");
    await override.getByRole("button", { name: "End" }).press("Enter");
    await override.getByRole("button", { name: "Yes: End" }).press("Enter");
    const latest = page.locator(`[data-stay="${newer.manifest.digest}"]`);
    await latest.locator(".state", { hasText: "served" }).waitFor();
    expect((await pull("free")).digest).toBe(newer.manifest.digest);
    expect(complaints).toEqual([]);
  },
  60_000,
);
