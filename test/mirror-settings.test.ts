import { expect, test } from "bun:test";
import { makeCertificate } from "./harness/services/certificates.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

test("a mirror may have overridePath, which replaces /v2, and its own CA", async () => {
  await using dir = await tempDir();
  const certificate = await makeCertificate(dir);
  await using mirror = await startScriptedUpstream({ certificate });
  await using plain = await startScriptedUpstream();
  await using registry = await startScriptedUpstream();
  const image = textImage({ text: "below a path" });
  mirror.add("proxy/k8s/app", image, "1");
  registry.add("app", image, "1");
  plain.respond(() => faults.errorResponse(404));
  mirror.addFile("/token", { token: "t" });
  mirror.respond(({ path, headers }) =>
    path === "/token" || headers.has("authorization")
      ? undefined
      : faults.unauthorized(`Bearer realm="${mirror.url}/token",service="m"`),
  );
  const mirrors = [
    { ...localUpstream(`${plain.url}/elsewhere`), overridePath: true },
    {
      ...localUpstream(`${mirror.url}/v2/proxy/k8s`),
      overridePath: true,
      ca: certificate.certificate,
    },
  ];
  const config = { upstreams: { "reg.test": { ...localUpstream(registry.url), mirrors } } };
  await using cache = await startEntrepot({ config });
  expect((await cache.get("/v2/app/manifests/1?ns=reg.test")).status).toBe(200);
  expect(plain.requests().map(({ path }) => path)).toEqual(["/elsewhere/app/manifests/1"]);
  // On the mirror the repository has its full path, so the token's scope has to name that.
  expect(mirror.requests().map(({ path, query }) => [path, query.get("scope")])).toEqual([
    ["/v2/proxy/k8s/app/manifests/1", null],
    ["/token", "repository:proxy/k8s/app:pull"],
    ["/v2/proxy/k8s/app/manifests/1", null],
  ]);
  expect(registry.requests()).toEqual([]);
});

test("a mirror with resolve: false serves blobs but never resolves tags", async () => {
  await using mirror = await startScriptedUpstream();
  await using registry = await startScriptedUpstream();
  const image = textImage({ text: "moved on" });
  mirror.add("app", textImage({ text: "behind" }), "1");
  mirror.add("app", image);
  registry.add("app", image, "1");
  const mirrors = [{ ...localUpstream(mirror.url), resolve: false }];
  const config = { upstreams: { "reg.test": { ...localUpstream(registry.url), mirrors } } };
  await using cache = await startEntrepot({ config });
  const response = await cache.get("/v2/app/manifests/1?ns=reg.test");
  expect(response.headers.get("docker-content-digest")).toBe(image.manifest.digest);
  await cache.get(`/v2/app/blobs/${image.blobs[1]?.digest}?ns=reg.test`);
  await cache.get("/v2/app/tags/list?ns=reg.test");
  expect(new Set(mirror.requests().map(({ kind }) => kind))).toEqual(new Set(["blob"]));
  expect(registry.requests({ kind: "blob" })).toEqual([]);
});
