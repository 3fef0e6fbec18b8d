import { header, type Target } from "./target.ts";

export const bottlerocket: Target = {
  name: "bottlerocket",
  title: "Bottlerocket",
  notes: {
    where: "the instance's user data",
    restart:
      "new instances read it when they are made. On a running one `apiclient set` with the same settings restarts what has to be",
    mind: [
      "The key is `endpoint`, a list. The registry itself is asked where the mirrors cannot help.",
      "On the variants with Docker only docker.io can have a mirror.",
    ],
  },
  render: ({ cache, upstreams, authority }, notes) => {
    const tables = upstreams.map(
      ({ name }) =>
        `[[settings.container-registry.mirrors]]\nregistry = "${name}"\nendpoint = ["${cache.origin}"]\n`,
    );
    if (authority !== undefined) {
      const encoded = Buffer.from(authority).toString("base64");
      tables.push(`[settings.pki.entrepot]\ndata = "${encoded}"\ntrusted = true\n`);
    }
    return [{ path: "user-data.toml", text: `${header(notes)}\n${tables.join("\n")}` }];
  },
};
