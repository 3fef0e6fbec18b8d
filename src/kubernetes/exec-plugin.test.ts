import { expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { failureOf } from "../../test/harness/waiting.ts";
import type { ExecPlugin } from "../config/kubernetes-api/kubernetes-settings.ts";
import { type PluginCredentials, runExecPlugin } from "./exec-plugin.ts";

const VERSION = "client.authentication.k8s.io/v1";
const ACCESS = {
  server: new URL("https://k8s.example:6443"),
  isInsecure: false,
  credentials: { kind: "none" },
} as const;

function credential(status: object | undefined, more: object = {}): string {
  return JSON.stringify({ apiVersion: VERSION, kind: "ExecCredential", status, ...more });
}

/** Runs a plugin that is this shell script. */
async function runScript(
  script: string,
  changes: Partial<ExecPlugin> = {},
): Promise<PluginCredentials> {
  await using dir = await tempDir();
  const command = dir.file("plugin");
  await writeFile(command, `#!/bin/sh\n${script}\n`);
  await chmod(command, 0o755);
  const plugin = { apiVersion: VERSION, command, args: [], env: {}, isToldCluster: false };
  return await runExecPlugin({ ...plugin, ...changes }, ACCESS);
}

test("what a plugin prints is used until it expires; its arguments and environment are given as they are", async () => {
  const expirationTimestamp = "2026-11-28T10:00:00Z";
  const printed = credential({ token: "t0ken", expirationTimestamp });
  const script = `[ "$1" = 'a b; $(id)' ] && [ "$REGION" = 'eu "1"' ] && echo '${printed}'`;
  const args = { args: ["a b; $(id)"], env: { REGION: 'eu "1"' } };
  expect(await runScript(script, args)).toEqual({
    token: "t0ken",
    expiresAt: Date.parse(expirationTimestamp),
  });
  const identity = { clientCertificateData: "certificate", clientKeyData: "key" };
  expect(await runScript(`printf %s '${credential(identity)}'`)).toEqual({
    client: { certificate: "certificate", key: "key" },
    expiresAt: Infinity,
  });
});

test.each([
  ["exit 3", "plugin ended with exit code 3"],
  ["echo secret-in-another-format", "plugin printed no JSON object"],
  [
    `printf %s '${credential({ token: "s3cret" }, { kind: "Secret" })}'`,
    "printed no ExecCredential of",
  ],
  [`printf %s '${credential(undefined)}'`, "printed no credentials"],
  [`printf %s '${credential({ token: "" })}'`, "printed neither a token nor a client certificate"],
  [
    `printf %s '${credential({ token: "s3cret\r\nx: y" })}'`,
    "printed neither a token nor a client",
  ],
  ["head -c 2000000 /dev/zero", "printed more than 1 MiB"],
])("the plugin %p is refused, and nothing that it printed is shown", async (script, message) => {
  const failure = await failureOf(runScript(script));
  expect(failure).toContain(`the credential plugin plugin `);
  expect(failure).toContain(message);
  expect(failure).not.toContain("s3cret");
  expect(failure).not.toContain("secret-in");
});

test("a plugin that is missing says how to install it", async () => {
  const command = "/nowhere/kubelogin";
  const hint = { command, installHint: "See https://login.example" };
  const expected = "the credential plugin kubelogin cannot be started: See https://login.example";
  expect(await failureOf(runScript("", hint))).toBe(expected);
  const named = await failureOf(runScript("", { command: "no-such-plugin" }));
  expect(named).toBe("the credential plugin no-such-plugin cannot be started: is it in PATH?");
});
