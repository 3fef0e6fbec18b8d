import { expect, test } from "bun:test";
import { digestOf } from "../oci/digest.ts";
import { OCI_MANIFEST } from "../oci/media-types.ts";
import { QUIRKS } from "./quirks.ts";
import { faultOf, registry, repository, serve, tag } from "./upstreamtest/test-servers.ts";

const app = repository("team/app");
const latest = tag("latest");
const manifest = new TextEncoder().encode('{"schemaVersion":2}');

test.each([400, 401, 403, 404, 405, 410, 500, 501, 503])(
  "a HEAD of a manifest that is answered with %i leaves the decision to GET",
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

test("a HEAD that is rate-limited is a fault: a GET would count as well", async () => {
  using server = serve(() => new Response("", { status: 429 }));
  const fault = await faultOf(registry(server.port).headManifest(app, latest));
  expect(fault.kind).toBe("upstream-rate-limited");
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
