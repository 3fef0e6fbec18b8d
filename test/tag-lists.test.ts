import { expect, test } from "bun:test";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";

test("an endless paginated tag list is fetched up to a limited number of pages", async () => {
  await using upstream = await startScriptedUpstream();
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(upstream.url) } },
  });
  let pages = 0;
  upstream.respond(() => {
    pages += 1;
    const tag = `t${String(pages).padStart(6, "0")}`;
    return {
      status: 200,
      body: JSON.stringify({ name: "app", tags: [tag] }),
      headers: {
        "Content-Type": "application/json",
        Link: `</v2/app/tags/list?last=${tag}>; rel="next"`,
      },
    };
  });
  const response = await cache.get("/v2/app/tags/list?ns=reg.test");
  expect(response.status).toBe(200);
  // The distribution-spec defines the format of this response.
  const { tags } = (await response.json()) as { tags: string[] };
  expect(tags[0]).toBe("t000001");
  expect(pages).toBeLessThanOrEqual(200);
  // The response links to the rest of the list.
  expect(response.headers.get("link")).toContain(`last=${tags.at(-1)}`);
});
