import { describe, expect, test } from "bun:test";
import type { ContainerdLine } from "../scripts/components/debian.mjs";
import { startEntrepot } from "./harness/cache/entrepot.ts";
import { documentedRows } from "./harness/documented-rows.ts";
import { textImage } from "./harness/images/images.ts";
import { isLong, real, realTest } from "./harness/real-components.ts";
import { type Challenge, startGuardedRegistry } from "./harness/registries/guarded-registry.ts";
import { type RecordedRequest, RecordingRelay } from "./harness/registries/recording-relay.ts";
import { type Containerd, hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import type { PullAuth } from "./harness/runtimes/cri.ts";
import { failureOf } from "./harness/waiting.ts";

const DOCUMENT = "docs/explanation/access-and-runtimes.md";
const LINES: readonly ContainerdLine[] = isLong ? ["1.6", "1.7", "2.1"] : ["1.6"];

/** The secret of a pod. With Basic, docker-registry lets each of its users pull all. */
const PODS = {
  allowed: { username: "alice", password: "of-alice" },
  refused: { username: "bob", password: "guessed" },
  none: undefined,
} as const;

const CHALLENGES = { Basic: "htpasswd", Bearer: "tokens" } as const;

/** What a server was asked, and what it answered: each once, in the order of the first. */
function summary(requests: readonly RecordedRequest[]): string {
  const lines = requests.map(
    ({ path, credentials, status }) =>
      `${path === "/token" ? "token: " : ""}${credentials.replace(/^Basic /, "")} ${status}`,
  );
  return [...new Set(lines)].join(", ") || "nothing";
}

const isCache = ({ agent }: RecordedRequest): boolean => agent.startsWith("entrepot");

/** Pulls with each pod's secret, with the registry's address beside it and without: a row for each. */
async function measure(containerd: Containerd, challenge: Challenge): Promise<string[][]> {
  await using registry = await startGuardedRegistry({
    challenge,
    users: { alice: "of-alice", ...(challenge === "Bearer" ? { bob: "guessed" } : {}) },
    mayPull: (user) => user === "alice",
  });
  await using cache = await startEntrepot({
    config: { upstreams: { [registry.address]: { ...registry.settings, access: "upstream" } } },
  });
  await using mirror = new RecordingRelay(cache.url);
  const hosts = hostsToml({ server: registry.url, hosts: [mirror.url] });
  await containerd.writeHosts(`${registry.address.replace(":", "_")}_`, hosts);

  const rows: string[][] = [];
  for (const [pod, secret] of Object.entries(PODS)) {
    for (const server of [undefined, registry.url]) {
      // Of its own, so that nothing is known of it, neither here nor there.
      const repository = `org/${pod}-${server === undefined ? "unset" : "set"}`;
      const text = `${containerd.version} ${challenge} ${repository}`;
      await registry.push(textImage({ text }), repository, "1");
      registry.take();
      mirror.take();
      const auth: PullAuth | undefined =
        server === undefined
          ? secret
          : { username: "", password: "", ...secret, server_address: server };
      const image = `${registry.address}/${repository}:1`;
      const outcome = await containerd.cri.pullImage(image, auth ? { auth } : {}).then(
        () => "pulled",
        () => "refused",
      );
      const asked = registry.take();
      const told = mirror.take();
      if (pod === "refused" && server === undefined) {
        // containerd insists. The registry is asked once about that, by HEAD and by GET.
        const ofPod = ({ path, credentials }: RecordedRequest) =>
          path !== "/token" && /bob/.test(credentials);
        expect(told.filter(ofPod)).toHaveLength(5);
        const once = asked.filter((one) => isCache(one) && ofPod(one));
        expect(once.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
      }
      rows.push([
        CHALLENGES[challenge],
        pod,
        server === undefined ? "empty" : "set",
        outcome,
        summary(told),
        summary(asked.filter((one) => !isCache(one))),
        summary(asked.filter(isCache)),
      ]);
    }
  }
  const auth = { ...PODS.allowed, server_address: registry.address };
  const pull = containerd.cri.pullImage(`${registry.address}/org/allowed-set:1`, { auth });
  expect(await failureOf(pull)).toContain("first path segment in URL cannot contain colon");
  return rows;
}

test("the document has a row for each case", () => {
  expect(documentedRows(DOCUMENT, 7)).toHaveLength(12);
});

describe.each(LINES)("containerd %s", (line) => {
  realTest(
    "gives pull secrets to a cache that asks, as the document says, and never pulls less than without it",
    async () => {
      await using containerd = await startContainerd({ line });
      const rows: string[][] = [];
      for (const challenge of ["Basic", "Bearer"] as const)
        rows.push(...(await measure(containerd, challenge)));
      if (process.env["ENTREPOT_GOLDEN"] === "write")
        console.log(rows.map((row) => `| ${row.join(" | ")} |`).join("\n"));
      expect(rows).toEqual(documentedRows(DOCUMENT, 7));
      // A pod with a secret that the registry accepts pulls, whichever way, and no other one does.
      for (const [, pod, , outcome] of rows)
        expect(outcome).toBe(pod === "allowed" ? "pulled" : "refused");
    },
    real.available ? 120_000 : 1_000,
  );
});
