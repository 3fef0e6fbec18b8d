import { describe, expect } from "bun:test";
import { readHostsFile } from "../../src/node/containerd/hosts/hosts-file.ts";
import { parseContainerdVersion, traitsOf } from "../../src/node/containerd/traits.ts";
import { startContainerd } from "../harness/runtimes/containerd.ts";
import { realTest } from "../harness/real-components.ts";
import { isLong } from "./supervised.ts";

/** Each hosts.toml with a server and a host on `@`, whose paths tell them apart. */
const files: Record<string, string> = {
  "a.test": `Server = "@/server"\n[host."@/host"]\n`,
  "b.test": `SERVER = "@/server"\n[host."@/host"]\n`,
  "c.test": `server = "@/server"\n[Host."@/host"]\n`,
  "d.test": `server = "@/server"\n[HOST."@/host"]\n`,
  "e.test": `server = "@/server"\n[host."@/host"]\nCapabilities = ["push"]\n`,
  "f.test": `server = "@/server"\n[host."@/host"]\nCAPABILITIES = ["push"]\n`,
  "g.test": `server = "@/server"\n[host."@/host"]\nOverride_Path = true\n`,
  "h.test": `server = "@/server"\nCapabilities = ["push"]\n[host."@/host"]\n`,
};

describe.each(isLong ? (["1.6", "1.7", "2.1"] as const) : (["1.7", "2.1"] as const))(
  "containerd %s",
  (line) => {
    realTest("reads the keys of hosts.toml in the case in which this program does", async () => {
      const requested = new Map<string, Set<string>>();
      const server = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: ({ url }) => {
          const { pathname, searchParams } = new URL(url);
          const registry = searchParams.get("ns") ?? "none";
          const at = requested.get(registry) ?? new Set();
          requested.set(registry, at.add(pathname.replace(/\/org\/.*$/, "")));
          return new Response("no", { status: 404 });
        },
      });
      await using _ = { [Symbol.asyncDispose]: () => server.stop(true) };
      const texts = Object.entries(files).map(([registry, text]): [string, string] => [
        registry,
        text.replaceAll("@", server.url.origin),
      ]);
      await using containerd = await startContainerd({ line, hosts: Object.fromEntries(texts) });
      const version = parseContainerdVersion(containerd.version) ?? expect.unreachable();
      const expected: Record<string, string[]> = {};
      const found: Record<string, string[]> = {};
      for (const [registry, text] of texts) {
        await containerd.cri.pullImage(`${registry}/org/x:1`).catch(() => {});
        found[registry] = [...(requested.get(registry) ?? [])];
        const read = readHostsFile(text, "/", traitsOf(version));
        const root = { url: read.server, ...read.root };
        const tried = read.isRead ? [...read.hosts, root] : [];
        expected[registry] = tried.flatMap(({ url, capabilities, overridePath }) => {
          if (url === undefined || capabilities?.includes("push")) return [];
          return [new URL(url).pathname + (overridePath ? "" : "/v2")];
        });
      }
      expect(found).toEqual(expected);
      expect(found["f.test"]).toEqual(["/server/v2"]);
    });
  },
);
