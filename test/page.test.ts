import { AxeBuilder } from "@axe-core/playwright";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { type Browser, chromium, type Page } from "playwright-core";
import { scriptAsset, styleAsset } from "../src/page/assets.ts";
import { bytes } from "../src/page/parts/format.ts";
import { version } from "../src/version.ts";
import { jobOf, orderJob } from "./harness/admin-jobs.ts";
import { randomContent } from "./harness/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import { textImage } from "./harness/images.ts";
import { freePort } from "./harness/free-port.ts";
import { real, realTest } from "./harness/real-components.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

const MIB = 1024 * 1024;
const PAGES = [
  "/",
  "/images",
  "/image?name=docker.io/library/app:1",
  "/purge?pattern=docker.io/library/app:*",
  "/readiness",
  "/history",
  "/jobs",
  "/settings",
];

let browser: Browser;
let upstream: ScriptedUpstream;
let cache: Entrepot;
const closing = new AsyncDisposableStack();
const layer = randomContent(2 * MIB, 1);
/** What clients of the test got, in bytes. */
let sent = 0;

async function pull(path: string, from: Entrepot = cache): Promise<void> {
  const headers = { "user-agent": "containerd/v2.1.4" };
  const response = await from.get(`/v2/library/app${path}?ns=docker.io`, { headers });
  const body = await response.bytes();
  if (response.ok) sent += body.byteLength;
}

beforeAll(async () => {
  if (!real.available) return;
  const executablePath = "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  closing.defer(() => browser.close());
  upstream = closing.use(await startScriptedUpstream());
  upstream.add("library/app", textImage({ text: "one" }), "1");
  upstream.addBlob("library/app", layer);
  const config = { upstreams: { "docker.io": { ...localUpstream(upstream.url), tagTtl: "0s" } } };
  cache = closing.use(await startEntrepot({ config }));
  await pull("/manifests/1");
  for (let count = 0; count < 3; count += 1) await pull(`/blobs/${layer.digest}`);
  upstream.respond(() => faults.errorResponse(503, "UNAVAILABLE"));
  await pull("/manifests/1");
  upstream.respond();
}, 60_000);

afterAll(async () => {
  await closing.disposeAsync();
});

interface Shown {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: "light" | "dark";
  readonly javaScriptEnabled?: boolean;
}

/** Opens a page, and collects what its browser complains of. */
async function open(
  path: string,
  { width = 1280, height = 800, ...options }: Shown = {},
): Promise<{ readonly page: Page; readonly complaints: string[] }> {
  const context = await browser.newContext({ viewport: { width, height }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(cache.adminUrl)) complaints.push(`asks ${request.url()}`);
  });
  await page.goto(new URL(path, cache.adminUrl).href);
  return { page, complaints };
}

async function metric(name: string, labels = ""): Promise<number> {
  const text = await (await cache.getAdmin("/metrics")).text();
  return Number(
    new RegExp(`^${name}\\{upstream="docker.io"${labels}\\} (\\d+)`, "m").exec(text)?.[1],
  );
}

realTest("the first screen says what the cache did, live and without scripts", async () => {
  const fetched = await metric("entrepot_upstream_bytes_total");
  for (const javaScriptEnabled of [true, false]) {
    const { page, complaints } = await open("/", { javaScriptEnabled });
    const saved = page.locator('[data-period="24 hours"]');
    expect(await saved.locator('[data-figure="bytes"]').textContent()).toBe(bytes(sent - fetched));
    // The stale tag is one that Docker Hub did not count.
    expect(await saved.locator('[data-figure="hubRequests"]').textContent()).toBe("1 pull");
    const registry = page.locator('[data-registry="docker.io"]');
    const failed = await metric(
      "entrepot_upstream_requests_total",
      ',kind="manifest",status="503"',
    );
    expect(await registry.textContent()).toContain(` ${failed} failed`);
    expect(await registry.locator(".state").textContent()).toBe("failed last");
    const results = await page.locator("[data-result]").allTextContents();
    expect(results.some((row) => row.includes("stale") && row.includes("503"))).toBe(true);
    expect(await page.locator(".panel-nodes").textContent()).toContain("containerd 2.1.4");
    const { sentence } = (await (await cache.getAdmin("/api/v1/overview")).json()).health;
    expect(await page.locator(".sentence").textContent()).toBe(sentence);
    expect(complaints).toEqual([]);
    await page.context().close();
  }
});

realTest("the first screen needs no scrolling, and no page is wider than its window", async () => {
  const { page } = await open("/");
  const height = await page.evaluate<number>("document.documentElement.scrollHeight");
  expect(height).toBeLessThanOrEqual(800);
  for (const width of [320, 768, 2560]) {
    await page.setViewportSize({ width, height: 900 });
    for (const path of PAGES) {
      await page.goto(new URL(path, cache.adminUrl).href);
      expect(await page.evaluate<number>("document.documentElement.scrollWidth"), path).toBe(width);
    }
  }
  await page.context().close();
});

realTest("every page is for keyboards and screen readers, light and dark", async () => {
  for (const colorScheme of ["light", "dark"] as const) {
    const { page, complaints } = await open("/", { colorScheme });
    for (const path of PAGES) {
      await page.goto(new URL(path, cache.adminUrl).href);
      const axe = new AxeBuilder({ page });
      // Only the colours differ.
      if (colorScheme === "dark") axe.withRules(["color-contrast"]);
      const { violations } = await axe.analyze();
      const found = violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id} ${html}`));
      expect(found, `${path} ${colorScheme}`).toEqual([]);
    }
    expect(complaints).toEqual([]);
    await page.context().close();
  }
});

realTest(
  "an image is found, pinned and purged by keyboard, and the purge says what goes",
  async () => {
    const { page } = await open("/images");
    await page.getByRole("searchbox").focus();
    await page.keyboard.type("app");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "docker.io/library/app:1" }).press("Enter");
    await page.getByRole("button", { name: "Pin" }).press("Enter");
    await page.getByRole("button", { name: "Unpin" }).press("Enter");
    await page.getByRole("button", { name: "Pin", exact: true }).waitFor();
    await page.getByRole("link", { name: "Purge" }).press("Enter");
    await page.getByText("1 image will be forgotten").waitFor();
    await page.getByRole("button", { name: "Purge 1 image" }).press("Enter");
    await page.locator("[data-job]").filter({ hasText: "done" }).waitFor();
    const { items } = await (await cache.getAdmin("/api/v1/images")).json();
    expect(items).toEqual([]);
    await page.context().close();
  },
);

realTest("a job that ends before the page listens is not shown as one that runs", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.route("**/api/v1/events", async (route) => {
    jobOf(await orderJob(cache.adminAddress, "gc", {}));
    await route.continue();
  });
  await page.goto(new URL("/jobs", cache.adminUrl).href);
  await page.locator("[data-job]").filter({ hasText: "done" }).first().waitFor();
  await context.close();
});

realTest("who is logged out while a page is open is asked to log in again", async () => {
  await using dir = await tempDir("page-token");
  const adminTokenFile = dir.file("token");
  await writeFile(adminTokenFile, "first-token-of-operators");
  await using guarded = await startEntrepot({ config: { adminTokenFile } });
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(new URL("/jobs", guarded.adminUrl).href);
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations).toEqual([]);
  await page.keyboard.type("first-token-of-operators");
  await page.keyboard.press("Enter");
  await page.locator(".liveness.live").waitFor();
  await writeFile(adminTokenFile, "second-token-of-operators");
  guarded.signal("SIGHUP");
  await page.waitForURL("**/login?to=%2Fjobs");
  await context.close();
});

realTest("a page of an earlier version is loaded anew", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.route(
    `${cache.adminUrl}/`,
    async (route) => {
      const response = await route.fetch();
      const body = (await response.text()).replaceAll(version, "0.0.1");
      await route.fulfill({ response, body });
    },
    { times: 1 },
  );
  await page.goto(cache.adminUrl, { waitUntil: "commit" });
  await page.locator(".brand", { hasText: "0.0.1" }).waitFor();
  await page.locator(".brand", { hasText: version }).waitFor();
  await context.close();
});

realTest("where there is no page, people get one that says so", async () => {
  const shown = await cache.getAdmin("/image/nothing", { headers: { accept: "text/html,*/*" } });
  expect(shown.status).toBe(404);
  expect(await shown.text()).toContain("There is no such page");
  const other = await cache.getAdmin("/image/nothing");
  expect([other.status, await other.text()]).toEqual([404, "not found\n"]);
});

realTest("a page that is left open goes on after a restart of the cache", async () => {
  const config = { upstreams: { "docker.io": localUpstream(upstream.url) } };
  const admin = `127.0.0.1:${freePort()}`;
  const before = await startEntrepot({ config, admin });
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://${admin}/`);
  await page.locator(".liveness.live").waitFor();
  await before.stop();
  await page.locator(".liveness.away").waitFor();
  await using after = await startEntrepot({ config, admin });
  await page.locator(".liveness.live").waitFor();
  await pull("/manifests/1", after);
  await page.locator('[data-result="miss"]').waitFor();
  await context.close();
});

test("what a page loads is small", () => {
  const sizes = [scriptAsset, styleAsset].map(({ content }) => Bun.gzipSync(content).byteLength);
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(60_000);
});
