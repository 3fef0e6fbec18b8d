import { header, type Target } from "./target.ts";

export const bottlerocket: Target = {
  name: "bottlerocket",
  title: "Bottlerocket",
  credentials: { use: "pull-secret", by: "containerd" },
  notes: {
    where: "the instance's user data",
    apply:
      "launch new instances, which read their user data at creation. On a running instance, pass the same settings to `apiclient set`, which restarts the affected services",
    caveats: [
      "The key is `endpoint`, and it takes a list. Bottlerocket falls back to the registry itself when the mirrors fail.",
      "Variants with Docker support a mirror for docker.io only.",
    ],
  },
  render: ({ cache, upstreams, ca }, notes) => {
    const tables = upstreams.map(
      ({ name }) =>
        `[[settings.container-registry.mirrors]]\nregistry = "${name}"\nendpoint = ["${cache.origin}"]\n`,
    );
    if (ca !== undefined) {
      const encoded = Buffer.from(ca).toString("base64");
      tables.push(`[settings.pki.entrepot]\ndata = "${encoded}"\ntrusted = true\n`);
    }
    return [{ path: "user-data.toml", text: `${header(notes)}\n${tables.join("\n")}` }];
  },
};
