import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../../test/harness/waiting.ts";
import type { AccessKeys } from "../../upstream/cloud/aws/access-keys.ts";
import { FileAccessKeys } from "./access-keys.ts";
import { WebIdentityKeys } from "./web-identity.ts";

const dir = await mkdtemp(join(tmpdir(), "entrepot-sts-"));
const tokenFile = join(dir, "token");
const HOUR = 3_600_000;

/** STS over HTTP, which counts its sessions. */
let sessions = 0;
let answer: ((form: URLSearchParams) => Response) | undefined;
const forms: URLSearchParams[] = [];
const sts = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const form = new URLSearchParams(await request.text());
    forms.push(form);
    return answer?.(form) ?? new Response(session(++sessions), { status: 200 });
  },
});
afterAll(async () => {
  await sts.stop(true);
  await rm(dir, { recursive: true });
});

function session(number: number, end = HOUR): string {
  return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA${number}</AccessKeyId><SecretAccessKey>a+/b=</SecretAccessKey><SessionToken>token&amp;${number}</SessionToken><Expiration>${new Date(end).toISOString()}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
}

function keysOf(number: number): AccessKeys {
  return {
    accessKeyId: `ASIA${number}`,
    secretAccessKey: "a+/b=",
    sessionToken: `token&${number}`,
  };
}

async function setup(): Promise<{ keys: WebIdentityKeys; clock: { now: number } }> {
  await writeFile(tokenFile, "header.payload.signature\n");
  [sessions, answer, forms.length] = [0, undefined, 0];
  const clock = { now: 0 };
  const identity = { tokenFile, roleArn: "arn:aws:iam::1:role/r", stsUrl: sts.url };
  return { clock, keys: new WebIdentityKeys("the store", identity, () => clock.now) };
}

test("a service account's token is exchanged for keys, once for all who ask", async () => {
  const { keys } = await setup();
  expect(await Promise.all([keys.current(), keys.current()])).toEqual([keysOf(1), keysOf(1)]);
  expect(await keys.current()).toEqual(keysOf(1));
  expect(forms.map((form) => Object.fromEntries(form))).toEqual([
    {
      Action: "AssumeRoleWithWebIdentity",
      Version: "2011-06-15",
      RoleArn: "arn:aws:iam::1:role/r",
      RoleSessionName: "entrepot",
      WebIdentityToken: "header.payload.signature",
    },
  ]);
});

test("keys are replaced before they end, while those that are valid serve", async () => {
  const { keys, clock } = await setup();
  await keys.current();
  clock.now = HOUR - 60_000;
  answer = () => new Response(session(++sessions, 2 * HOUR));
  await writeFile(tokenFile, "newer.payload.signature");
  expect(await keys.current()).toEqual(keysOf(1));
  await until(async () => (await keys.current()).accessKeyId === "ASIA2", { what: "new keys" });
  expect(forms.at(-1)?.get("WebIdentityToken")).toBe("newer.payload.signature");
});

test("refused keys are replaced at once", async () => {
  const { keys } = await setup();
  const first = await keys.current();
  expect(await keys.renewed(first)).toEqual(keysOf(2));
  // Another request has had them replaced by now.
  expect(await keys.renewed(first)).toEqual(keysOf(2));
  expect(sessions).toBe(2);
});

test.each<[string, () => Response, string]>([
  [
    "refuses",
    () =>
      new Response(
        "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>",
        {
          status: 400,
        },
      ),
    "InvalidIdentityToken",
  ],
  ["sends something else", () => new Response("<html></html>"), "(200)"],
  ["redirects", () => Response.redirect("http://127.0.0.1:1/"), "(302)"],
  ["sends far too much", () => new Response("x".repeat(100_000)), "more than 65536 bytes"],
])("STS that %s gives no keys, and the message says who", async (_, response, text) => {
  const { keys } = await setup();
  answer = response;
  const error: unknown = await keys.current().catch((cause: unknown) => cause);
  expect(String(error)).toContain(text);
  expect(String(error)).toContain(sts.url.host);
});

test("a token that is missing, empty or several lines is told with its file", async () => {
  const { keys } = await setup();
  for (const text of ["", "one\ntwo", "caf\u00e9"]) {
    await writeFile(tokenFile, text);
    expect(String(await keys.current().catch((cause: unknown) => cause))).toContain(tokenFile);
  }
  await rm(tokenFile);
  expect(String(await keys.current().catch((cause: unknown) => cause))).toContain("ENOENT");
});

test("keys in files are read again after ten seconds, or when they are refused", async () => {
  const files = { accessKeyFile: join(dir, "a"), secretKeyFile: join(dir, "s") };
  await writeFile(files.accessKeyFile, "one\n");
  await writeFile(files.secretKeyFile, "two");
  const clock = { now: 0 };
  const keys = new FileAccessKeys("the store", files, () => clock.now);
  const first = await keys.current();
  expect(first).toEqual({ accessKeyId: "one", secretAccessKey: "two" });
  expect(await keys.renewed(first)).toBeUndefined();
  await writeFile(files.accessKeyFile, "three");
  expect((await keys.current()).accessKeyId).toBe("one");
  clock.now = 10_000;
  expect((await keys.current()).accessKeyId).toBe("three");
  // In the middle of a replacement, the last ones serve.
  await writeFile(files.secretKeyFile, "");
  clock.now = 20_000;
  expect(await keys.current()).toEqual({ accessKeyId: "three", secretAccessKey: "two" });
});
