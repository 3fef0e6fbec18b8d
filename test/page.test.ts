import { afterAll, beforeAll, expect, test } from "bun:test";
import { statfs, writeFile } from "node:fs/promises";
import type { Browser, Page } from "playwright-core";
import { readinessSchema } from "../src/api/readiness.ts";
import { scriptAsset, styleAsset } from "../src/page/assets.ts";
import { bytes, percent } from "../src/page/parts/format.ts";
import { version } from "../src/version.ts";
import { jobOf, orderJob } from "./harness/cache/admin-jobs.ts";
import type { Content } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { freePort } from "./harness/free-port.ts";
import {
  type OpenPage,
  openPage,
  type Shown,
  startBrowser,
  violationsOf,
  walkByTab,
} from "./harness/cache/page-browser.ts";
import { PageLoad } from "./harness/cache/page-load.ts";
import { isLong, real, realTest } from "./harness/real-components.ts";
import { tempDir } from "./harness/temp-dir.ts";

/** Each page, and what is on it, also without scripts. */
const PAGES = {
  "/": "docker.io/library/tool:2",
  "/images": "docker.io/library/app:1",
  "/images?search=nothing": "Show all images",
  "/image?name=docker.io/library/app:1": "crictl pull docker.io/library/app:1",
  "/purge?pattern=docker.io/library/app:*": "1 image will be removed",
  "/purge?pattern=docker.io/library/tool:*": "is pinned by docker.io/library/tool:2",
  "/readiness": "docker.io/library/tool:2",
  "/held": "that has moved keeps the digest before",
  "/history": "The chart as a table",
  "/jobs": "No job since the cache started",
  "/settings": "storage.maxSize",
  "/nothing": "There is no such page",
};

let browser: Browser;
let load: PageLoad;
let cache: Entrepot;
const closing = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  browser = await startBrowser();
  closing.defer(() => browser.close());
  load = closing.use(await PageLoad.start());
  cache = load.cache;
}, 60_000);

afterAll(async () => {
  await closing.disposeAsync();
});

function open(path: string, shown?: Shown): Promise<OpenPage> {
  return openPage(browser, new URL(path, cache.adminUrl), shown);
}

/** Browsers stop at lists that scroll, too. */
function isUsable(stop: string): boolean {
  return !stop.endsWith(" -1");
}

/** Runs in the page. */
function textsOfRows(rows: Element[]): string[][] {
  return rows.map((row) => [...row.children].map((cell) => cell.textContent ?? ""));
}

/** The value beside a name in a list of facts. */
function fact(page: Page, panel: string, name: string): Promise<string | null> {
  const row = page.locator(`.panel-${panel} dl > div`, {
    has: page.getByText(name, { exact: true }),
  });
  return row.locator("dd").textContent();
}

realTest("the first screen says what the load counted, live and without scripts", async () => {
  const { sent, fetched, requests, fromCache } = load;
  const hits = [percent((sent - fetched) / sent), percent(fromCache / requests)];
  const answers = load.upstream.requests();
  const failed = answers.filter(({ status = 0 }) => status === 503).length;
  for (const javaScriptEnabled of [true, false]) {
    await using opened = await open("/", { javaScriptEnabled });
    const { page, complaints } = opened;
    const saved = page.locator('[data-period="24 hours"]');
    expect(await saved.locator('[data-figure="bytes"]').textContent()).toBe(bytes(sent - fetched));
    // The stale tag, and the manifest that was pulled by digest, are those that Docker Hub did not count.
    expect(await saved.locator('[data-figure="hubRequests"]').textContent()).toBe("2 pulls");
    expect(await saved.textContent()).toContain(`${hits[0]} of bytes, ${hits[1]} of requests`);

    const registry = page.locator('[data-registry="docker.io"]');
    const cells = await registry.locator("td").allTextContents();
    expect(cells[0]?.trim()).toBe("last request failed");
    expect(cells[3]).toBe(`${answers.length - failed} ok ${failed} failed `);
    expect(cells.slice(-3)).toEqual([...hits, "open"]);

    const { bavail, bsize } = await statfs(cache.data);
    const onDisk = (contents: readonly Content[]): number =>
      contents.reduce((total, { size }) => total + Math.ceil(size / bsize) * bsize, 0);
    expect(await fact(page, "disk", "Stored blobs")).toBe(bytes(onDisk(load.held)));
    expect(await fact(page, "disk", "of which pinned")).toBe(bytes(onDisk(load.pinned)));
    const free = Number.parseFloat((await fact(page, "disk", "Free on the file system")) ?? "");
    // Others write to it meanwhile.
    expect(Math.abs(free / Number.parseFloat(bytes(bavail * bsize)) - 1)).toBeLessThan(0.05);

    const pulls = await page.locator("[data-result]").evaluateAll(textsOfRows);
    const all = bytes(load.pinned.reduce((total, { size }) => total + size, 0));
    const rowOf = (result: string) => pulls.find(([first]) => first === result)?.slice(0, 4);
    const [app, tool] = ["docker.io/library/app:1", "docker.io/library/tool:2"];
    expect(rowOf("hit")).toEqual(["hit", tool, "127.0.0.1", all]);
    expect(rowOf("miss")).toEqual(["miss", `${tool}it was not stored`, "127.0.0.1", all]);
    expect(rowOf("stale")?.[1]).toBe(`${app}docker.io returned 503`);
    expect(await page.locator(".panel-nodes").textContent()).toContain("containerd 2.1.4");
    const { sentence } = (await (await cache.getAdmin("/api/v1/overview")).json()).health;
    expect(await page.locator(".sentence").textContent()).toBe(sentence);
    expect(complaints).toEqual([]);
  }
});

realTest("the metrics and the page say the same as the load", async () => {
  const text = await (await cache.getAdmin("/metrics")).text();
  const line = /^entrepot_upstream_bytes_total\{upstream="docker\.io"\} (\d+)/m.exec(text);
  expect(Number(line?.[1])).toBe(load.fetched);
});

realTest("the history tells in a table what its chart shows, also without scripts", async () => {
  await using opened = await open("/history", { javaScriptEnabled: false });
  const { page } = opened;
  await page.getByText("The chart as a table").click();
  await page.getByText("Steps of 30 min").waitFor();
  const rows = await page.locator(".steps tbody tr").evaluateAll(textsOfRows);
  const sum = (column: number) => rows.reduce((total, row) => total + Number(row[column]), 0);
  expect([sum(1), sum(2)]).toEqual([load.requests, load.fromCache]);
});

realTest("the first screen says what would not start, and needs no scrolling", async () => {
  const looked = await cache.getAdmin("/api/v1/readiness?fresh=true");
  const { sentence, ready, wanted } = readinessSchema.parse(await looked.json());
  await using opened = await open("/");
  const told = opened.page.locator(".health p", { hasText: sentence });
  const next = ready < wanted ? "See which, and warm them" : "See readiness";
  expect(await told.getByRole("link", { name: next }).getAttribute("href")).toBe("/readiness");
  const height = await opened.page.evaluate<number>("document.documentElement.scrollHeight");
  expect(height).toBeLessThanOrEqual(800);
});

for (const [path, text] of Object.entries(PAGES)) {
  realTest(`${path} fits every window, and is for keyboards and screen readers`, async () => {
    await using opened = await open(path);
    const { page, complaints } = opened;
    await page.locator(".liveness.live").waitFor();
    const { reached, usable, unseen } = await walkByTab(page);
    expect(reached.filter(isUsable)).toEqual(usable);
    expect(unseen).toEqual([]);
    expect(await violationsOf(page)).toEqual([]);
    for (const width of [320, 768, 2560]) {
      await page.setViewportSize({ width, height: 900 });
      expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(width);
    }
    expect(complaints.filter(isUnexpected)).toEqual([]);
  });

  realTest(`${path} is whole without scripts`, async () => {
    await using opened = await open(path, { javaScriptEnabled: false });
    const { page, complaints } = opened;
    expect(await page.locator("main").textContent()).toContain(text);
    expect(complaints.filter(isUnexpected)).toEqual([]);
    if (!isLong) return;
    const { reached, usable } = await walkByTab(page);
    expect(reached.filter(isUsable)).toEqual(usable);
  });
}

/** A page that is none is one with the status 404. */
function isUnexpected(complaint: string): boolean {
  return !complaint.includes("status of 404");
}

realTest(
  "an image is found, pinned and purged by keyboard, and the purge says what goes",
  async () => {
    await using opened = await open("/images");
    const { page } = opened;
    await page.getByRole("searchbox").focus();
    await page.keyboard.type("app");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "docker.io/library/app:1" }).press("Enter");
    await page.getByRole("button", { name: "Pin" }).press("Enter");
    await page.getByRole("button", { name: "Unpin" }).waitFor();
    await page.getByRole("link", { name: "Purge" }).press("Enter");
    // It is pinned: the way on is to take the pin away, which is asked.
    await page.getByText("is pinned by docker.io/library/app:1").waitFor();
    await page.getByRole("button", { name: "Unpin docker.io/library/app:1" }).press("Enter");
    await page.getByText("1 image can be evicted").waitFor();
    await page.getByRole("button", { name: "No" }).press("Enter");
    await page.getByRole("button", { name: "Unpin docker.io/library/app:1" }).press("Enter");
    await page.getByRole("button", { name: "Yes: Unpin" }).press("Enter");
    await page.getByText("1 image will be removed").waitFor();
    await page.getByRole("button", { name: "Purge 1 image" }).press("Enter");
    await page.locator("[data-job]").filter({ hasText: "done" }).waitFor();
    const { items } = await (await cache.getAdmin("/api/v1/images")).json();
    expect(items).toEqual([expect.objectContaining({ image: "docker.io/library/tool" })]);
  },
);

realTest("a job that ends before the page listens is not shown as one that runs", async () => {
  await using opened = await open("/settings");
  const { page } = opened;
  await page.route("**/api/v1/events", async (route) => {
    jobOf(await orderJob(cache.adminAddress, "gc", {}));
    await route.continue();
  });
  await page.goto(new URL("/jobs", cache.adminUrl).href);
  await page.locator("[data-job]").filter({ hasText: "done" }).first().waitFor();
});

realTest(
  "people log in, also without scripts, and again once their token is replaced",
  async () => {
    await using dir = await tempDir("page-token");
    const adminTokenFile = dir.file("token");
    await writeFile(adminTokenFile, "first-token-of-operators");
    await using guarded = await startEntrepot({ config: { adminTokenFile } });
    const jobs = new URL("/jobs", guarded.adminUrl);
    for (const javaScriptEnabled of [false, true]) {
      await using opened = await openPage(browser, jobs, { javaScriptEnabled, width: 320 });
      const { page } = opened;
      const mustBeWhole = async (): Promise<void> => {
        expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(320);
        // What looks for violations is a script.
        if (javaScriptEnabled) expect(await violationsOf(page)).toEqual([]);
      };
      await mustBeWhole();
      await page.keyboard.type("wrong-token-of-operators");
      await page.keyboard.press("Enter");
      await page.getByText("This token is not accepted").waitFor();
      await mustBeWhole();
      await page.keyboard.type("first-token-of-operators");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.waitForURL(jobs.href);
      expect(await page.locator("main").textContent()).toContain(PAGES["/jobs"]);
      if (!javaScriptEnabled) continue;
      await page.locator(".liveness.live").waitFor();
      await writeFile(adminTokenFile, "second-token-of-operators");
      guarded.signal("SIGHUP");
      await page.waitForURL("**/login?to=%2Fjobs");
    }
  },
);

realTest("a page of an earlier version is loaded anew", async () => {
  await using opened = await open("/settings");
  const { page } = opened;
  let loaded = 0;
  await page.route(`${cache.adminUrl}/`, async (route) => {
    loaded += 1;
    const response = await route.fetch();
    const body = await response.text();
    await route.fulfill({ response, body: loaded > 1 ? body : body.replaceAll(version, "0.0.1") });
  });
  await page.goto(cache.adminUrl, { waitUntil: "commit" });
  await page.locator(".brand", { hasText: version }).waitFor();
  expect(loaded).toBe(2);
});

realTest("where there is no page, people get one that says so", async () => {
  const shown = await cache.getAdmin("/image/nothing", { headers: { accept: "text/html,*/*" } });
  expect(shown.status).toBe(404);
  expect(await shown.text()).toContain("There is no such page");
  const other = await cache.getAdmin("/image/nothing");
  expect(other.status).toBe(404);
  expect(await other.text()).toStartWith("there is nothing at /image/nothing");
});

realTest("a page that is left open goes on after a restart of the cache", async () => {
  const config = { upstreams: { "docker.io": localUpstream(load.upstream.url) } };
  const admin = `127.0.0.1:${freePort()}`;
  const before = await startEntrepot({ config, admin });
  await using opened = await openPage(browser, new URL(`http://${admin}/`));
  const { page } = opened;
  await page.locator(".liveness.live").waitFor();
  await before.stop();
  await page.locator(".liveness.away").waitFor();
  await using after = await startEntrepot({ config, admin });
  await page.locator(".liveness.live").waitFor();
  await load.pull("app/manifests/1", { from: after });
  await page.locator('[data-result="miss"]').waitFor();
});

test("what a page loads is small", () => {
  const sizes = [scriptAsset, styleAsset].map(({ content }) => Bun.gzipSync(content).byteLength);
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(60_000);
});
