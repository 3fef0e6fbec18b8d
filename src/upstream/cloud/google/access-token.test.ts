import { afterAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { GoogleStandIn } from "../../../../test/harness/clouds/google.ts";
import { failureOf, projectedToken } from "../../../../test/harness/clouds/stand-in.ts";
import { tempDir } from "../../../../test/harness/temp-dir.ts";
import type { GoogleCredentials } from "../../../config/cloud/cloud-credentials.ts";
import { googleRegistry } from "../../../config/cloud/google-registry.ts";
import { readText } from "../../../config/parsing/read-text.ts";
import { issuedToken } from "../issued-credentials.ts";

const dir = await tempDir("google");
afterAll(() => dir[Symbol.asyncDispose]());

function sourceOf(env: Record<string, string>): GoogleCredentials {
  const readFile = (path: string) => readText(path, 64 * 1024);
  const context = { host: "europe-docker.pkg.dev", env, readFile, hasFile: () => false };
  return { ...googleRegistry({}, context), connection: {}, from: "entrepot.yaml:1:1" };
}

async function fileOf(content: object): Promise<GoogleCredentials> {
  const file = dir.file(`${Bun.randomUUIDv7()}.json`);
  await writeFile(file, JSON.stringify(content));
  return sourceOf({ GOOGLE_APPLICATION_CREDENTIALS: file });
}

async function tokenFile(audience: string = GoogleStandIn.audience): Promise<string> {
  const file = dir.file(Bun.randomUUIDv7());
  await writeFile(file, `${projectedToken({ aud: `https:${audience}` })}\n`);
  return file;
}

const SOURCES: Readonly<
  Record<string, (google: GoogleStandIn) => GoogleCredentials | Promise<GoogleCredentials>>
> = {
  "the machine or pod, by the metadata server": ({ host }) => sourceOf({ GCE_METADATA_HOST: host }),
  "a service account's key": (google) => fileOf(google.serviceAccountFile()),
  "a workload of another issuer": async (google) =>
    fileOf(google.externalAccountFile({ file: await tokenFile() })),
  "a service account that such a workload acts as": async (google) =>
    fileOf(google.externalAccountFile({ file: await tokenFile() }, { impersonates: true })),
};

test.each(Object.keys(SOURCES))("a token is issued to %s", async (name) => {
  const issued: string[] = [];
  await using google = new GoogleStandIn({
    onIssued: async (user, token) => void issued.push(`${user}:${token}`),
  });
  const source = await SOURCES[name]?.(google);
  if (!source) throw new Error("no source");
  const { username, password, lifetime } = await issuedToken(source);
  expect(`${username}:${password}`).toBe(issued.at(-1) ?? "");
  expect(Math.round(lifetime / 60_000)).toBe(60);
});

test("another issuer's token may be in a field of what a URL answers", async () => {
  await using google = new GoogleStandIn();
  const token = projectedToken({ aud: `https:${GoogleStandIn.audience}` });
  using local = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: ({ headers }) =>
      headers.get("x-local") === "yes"
        ? Response.json({ id_token: token })
        : new Response("", { status: 403 }),
  });
  const source = {
    url: local.url.href,
    headers: { "x-local": "yes" },
    format: { type: "json", subject_token_field_name: "id_token" },
  };
  expect((await issuedToken(await fileOf(google.externalAccountFile(source)))).username).toBe(
    "oauth2accesstoken",
  );
});

const flavor = { "metadata-flavor": "Google" };

test.each<[string, () => Response]>([
  [
    "is not Google's metadata server: it sends no Metadata-Flavor",
    () => Response.json({ access_token: "secret" }),
  ],
  [
    "gives no token (404): this machine has no service account",
    () => new Response("secret", { status: 404, headers: flavor }),
  ],
  [
    "gives no token (403): see the service account of this pod",
    () => new Response("secret", { status: 403, headers: flavor }),
  ],
  [
    "sent something other than a JSON object (200)",
    () => new Response("secret", { headers: flavor }),
  ],
  [
    "sent no access_token",
    () => Response.json({ access_token: "two\nlines of secret" }, { headers: flavor }),
  ],
  ["sent more than 65536 bytes", () => new Response("x".repeat(70_000), { headers: flavor })],
  ["fails (503)", () => new Response("secret", { status: 503, headers: flavor })],
])("a metadata server that %s", async (message, answer) => {
  await using google = new GoogleStandIn();
  google.fails(answer);
  const source = sourceOf({ GCE_METADATA_HOST: google.host });
  const error = await failureOf(issuedToken(source, 500));
  expect(error).toContain(`CloudError: ${google.host} ${message}`);
  expect(error).not.toContain("secret");
});

test("a deleted key is told with its account, and one that is no key with its file", async () => {
  await using google = new GoogleStandIn();
  await using other = new GoogleStandIn();
  const stolen = { ...other.serviceAccountFile(), token_uri: `${google.url}/token` };
  expect(await failureOf(issuedToken(await fileOf(stolen)))).toContain(
    "(invalid_grant): the key of entrepot@project.iam.gserviceaccount.com was deleted",
  );
  const broken = { ...google.serviceAccountFile(), private_key: "PRIVATE KEY secret" };
  const error = await failureOf(issuedToken(await fileOf(broken)));
  expect(error).toContain("has a private_key that is no RSA key in PKCS#8");
  expect(error).not.toContain("secret");
});

test("a token for another pool is told, and one that may not act as the account", async () => {
  await using google = new GoogleStandIn();
  const file = await tokenFile("//iam.googleapis.com/another");
  expect(
    await failureOf(issuedToken(await fileOf(google.externalAccountFile({ file })))),
  ).toContain("(invalid_grant): the workload identity pool does not take this token");
  google.fails(({ url }) =>
    url.endsWith(":generateAccessToken")
      ? Response.json({ error: { status: "PERMISSION_DENIED" } }, { status: 403 })
      : undefined,
  );
  const source = google.externalAccountFile({ file: await tokenFile() }, { impersonates: true });
  expect(await failureOf(issuedToken(await fileOf(source)))).toContain(
    "(PERMISSION_DENIED): the identity needs roles/iam.workloadIdentityUser",
  );
});

test("a token's file is read again each time", async () => {
  await using google = new GoogleStandIn();
  const file = await tokenFile("//before");
  const source = await fileOf(google.externalAccountFile({ file }));
  expect(await issuedToken(source).catch(() => "refused")).toBe("refused");
  await writeFile(file, projectedToken({ aud: `https:${GoogleStandIn.audience}` }));
  expect((await issuedToken(source)).username).toBe("oauth2accesstoken");
});
