import { header, hostOf, type RenderInput, type Target } from "./target.ts";

const RESTART =
  "`talosctl patch machineconfig --patch @FILE --nodes …`: applied without a reboot, and containerd reads it at the next pull";
const FALLBACK =
  "Without skipFallback, Talos asks the registry itself where the cache cannot help: leave it so.";

export const talos: Target = {
  name: "talos",
  title: "Talos up to 1.11 (machine.registries)",
  notes: {
    where: "a patch of the machine configuration of every node",
    restart: RESTART,
    mind: [
      FALLBACK,
      "From 1.12 this form is deprecated for documents of their own: `entrepot render talos-documents`. Do not use both for one registry.",
    ],
  },
  render: (input, notes) => {
    const { cache, upstreams } = input;
    const mirrors = upstreams.map(
      ({ name }) => `      "${name}":\n        endpoints:\n          - "${cache.origin}"\n`,
    );
    const text = `machine:\n  registries:\n    mirrors:\n${mirrors.join("")}${trust(input)}`;
    return [{ path: "talos-patch.yaml", text: `${header(notes)}\n${text}` }];
  },
};

export const talosDocuments: Target = {
  name: "talos-documents",
  title: "Talos 1.12 and newer (RegistryMirrorConfig)",
  notes: {
    where: "documents of the machine configuration of every node",
    restart: RESTART,
    mind: [FALLBACK, "Talos before 1.12 refuses documents of this kind: `entrepot render talos`."],
  },
  render: ({ cache, upstreams, authority }, notes) => {
    const documents = upstreams.map(
      ({ name }) =>
        `apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: "${name}"\nendpoints:\n  - url: "${cache.origin}"\n`,
    );
    if (authority !== undefined) {
      const pem = authority.trimEnd().replaceAll("\n", "\n  ");
      documents.push(
        `apiVersion: v1alpha1\nkind: RegistryTLSConfig\nname: "${hostOf(cache)}"\nca: |\n  ${pem}\n`,
      );
    }
    return [{ path: "talos-mirrors.yaml", text: `${header(notes)}\n${documents.join("---\n")}` }];
  },
};

function trust({ cache, authority }: RenderInput): string {
  if (authority === undefined) return "";
  const encoded = Buffer.from(authority).toString("base64");
  return `    config:\n      "${hostOf(cache)}":\n        tls:\n          ca: ${encoded}\n`;
}
