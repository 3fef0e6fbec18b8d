import { networkInterfaces } from "node:os";
import { expect } from "bun:test";
import { startEntrepot } from "../harness/cache/entrepot.ts";
import { textImage } from "../harness/images/images.ts";
import { realTest } from "../harness/real-components.ts";
import { startGuardedRegistry } from "../harness/registries/guarded-registry.ts";
import { entrepotNode, optionsFor } from "./program.ts";
import { startNode } from "./supervised.ts";

/** An address at which other machines reach this one; its own alone if there is none. */
const host =
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";

interface CheckJson {
  readonly findings: readonly { readonly code: string; readonly severity: string }[];
}

realTest(
  "a registry whose images are all private is wired, and a check says what is asked and who listens",
  async () => {
    const auth = { username: "alice", password: "of-alice" };
    await using registry = await startGuardedRegistry({
      challenge: "Basic",
      users: { [auth.username]: auth.password },
    });
    await registry.push(textImage({ text: "private" }), "org/app", "1");
    const upstream = { ...registry.settings, access: "upstream" };
    const config = { plainCredentials: true, upstreams: { [registry.address]: upstream } };
    await using cache = await startEntrepot({ config, listen: `${host}:0` });
    await using node = await startNode("1.7");
    const image = `${registry.address}/org/app:1`;
    const pull = async (): Promise<void> => {
      using cri = node.cri();
      await cri.pullImage(image, { auth });
    };
    // The node has it. It is what a proof would pull, and has no credentials for.
    await pull();
    const options = optionsFor(node);
    const apply = ["apply", "--cache", cache.url, "--yes", ...options];
    const applied = await entrepotNode(apply);
    expect(applied.text).toContain("Unproven, as there was no image to prove it with");
    expect(applied.text).toContain(`The cache asks for credentials for ${registry.address}`);
    expect(applied.code).toBe(0);

    const check = await entrepotNode(["check", "--json", ...options]);
    const { findings }: CheckJson = JSON.parse(check.text);
    const asked = findings.filter(({ code }) => code.startsWith("credentials-"));
    expect(asked.map(({ code, severity }) => [code, severity])).toEqual([
      ...(host === "127.0.0.1" ? [] : [["credentials-in-plain-text", "warning"]]),
      ["credentials-asked", "note"],
    ]);
    expect(check.code).toBe(host === "127.0.0.1" ? 0 : 1);

    // A pod with credentials pulls through the cache from now on.
    await node.removeImage(image);
    registry.take();
    await pull();
    expect(registry.take().every(({ agent }) => agent.startsWith("entrepot"))).toBe(true);

    // A cache that is away asks for nothing, and a check does not wait for it.
    await cache.stop();
    const alone = await entrepotNode(["check", "--json", ...options]);
    expect(alone.text).not.toContain("credentials-");
  },
  120_000,
);
