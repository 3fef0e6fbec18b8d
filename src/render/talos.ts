import { header, hostOf, type RenderInput, type Target } from "./target.ts";

const APPLY =
  "`talosctl patch machineconfig --patch @FILE --nodes …`. It needs no reboot; containerd reads the mirrors at the next pull";
const FALLBACK =
  "Do not set skipFallback: without it, Talos falls back to the registry itself when the cache fails.";

export const talos: Target = {
  name: "talos",
  title: "Talos up to 1.11 (machine.registries)",
  credentials: { use: "pull-secret", by: "containerd" },
  notes: {
    where: "a patch of the machine configuration of every node",
    apply: APPLY,
    caveats: [
      FALLBACK,
      "Talos 1.12 deprecates this form in favour of separate documents: `entrepot render talos-documents`. Do not use both for one registry.",
    ],
  },
  render: (input, notes) => {
    const { cache, upstreams } = input;
    const mirrors = upstreams.map(
      ({ name }) => `      "${name}":\n        endpoints:\n          - "${cache.origin}"\n`,
    );
    const text = `machine:\n  registries:\n    mirrors:\n${mirrors.join("")}${tlsConfig(input)}`;
    return [{ path: "talos-patch.yaml", text: `${header(notes)}\n${text}` }];
  },
};

export const talosDocuments: Target = {
  name: "talos-documents",
  title: "Talos 1.12 and newer (RegistryMirrorConfig)",
  credentials: { use: "pull-secret", by: "containerd" },
  notes: {
    where: "documents of the machine configuration of every node",
    apply: APPLY,
    caveats: [
      FALLBACK,
      "Talos before 1.12 rejects these documents: use `entrepot render talos` there.",
    ],
  },
  render: ({ cache, upstreams, ca }, notes) => {
    const documents = upstreams.map(
      ({ name }) =>
        `apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: "${name}"\nendpoints:\n  - url: "${cache.origin}"\n`,
    );
    if (ca !== undefined) {
      const pem = ca.trimEnd().replaceAll("\n", "\n  ");
      documents.push(
        `apiVersion: v1alpha1\nkind: RegistryTLSConfig\nname: "${hostOf(cache)}"\nca: |\n  ${pem}\n`,
      );
    }
    return [{ path: "talos-mirrors.yaml", text: `${header(notes)}\n${documents.join("---\n")}` }];
  },
};

function tlsConfig({ cache, ca }: RenderInput): string {
  if (ca === undefined) return "";
  const encoded = Buffer.from(ca).toString("base64");
  return `    config:\n      "${hostOf(cache)}":\n        tls:\n          ca: ${encoded}\n`;
}
