import { describe, expect, test } from "bun:test";
import { digestOf } from "../oci/digest.ts";
import { OCI_MANIFEST } from "../oci/media-types.ts";
import { QUIRKS } from "./quirks.ts";
import { faultOf, registry, repository, serve, tag } from "./upstreamtest/test-servers.ts";

const app = repository("team/app");
const latest = tag("latest");
const manifest = new TextEncoder().encode('{"schemaVersion":2}');

describe("HEAD of a manifest", () => {
  test.each([...QUIRKS.headUnsupportedStatuses])(
    "answered with %i is unsupported, and GET still works",
    async (status) => {
      using server = serve(({ method }) =>
        method === "HEAD"
          ? new Response("", { status })
          : new Response(manifest, { headers: { "content-type": OCI_MANIFEST } }),
      );
      const subject = registry(server.port);
      expect(await subject.headManifest(app, latest)).toBeUndefined();
      expect((await subject.getManifest(app, latest)).digest).toBe(digestOf(manifest));
    },
  );

  test.each([
    [400, "upstream-failed"],
    [403, "upstream-denied"],
    [404, "not-found"],
    [500, "upstream-failed"],
  ])("answered with %i is the fault %s", async (status, kind) => {
    using server = serve(() => new Response("", { status }));
    const fault = await faultOf(registry(server.port).headManifest(app, latest));
    expect(fault.kind).toBe(kind as "not-found"); // The table's second column.
  });
});

test("a tag list request asks for no more tags than ECR allows", async () => {
  using server = serve(() => Response.json({ tags: [] }));
  await registry(server.port).listTags(app, { n: QUIRKS.maxTagsPerPage + 1 });
  expect(server.requests[0]?.path).toBe("/v2/team/app/tags/list?n=1000");
});

test.each([...QUIRKS.missingOrPrivateStatuses])(
  "%i means that the repository is missing or private",
  async (status) => {
    using server = serve(() => new Response("", { status }));
    const fault = await faultOf(registry(server.port).getManifest(app, latest));
    expect(fault).toMatchObject({ kind: "upstream-denied", status });
  },
);
