import { header, type RenderedFile, type Target } from "./target.ts";

const SECRET = "entrepot-ca-v1";
const RESOURCES = `  resources:
    - name: entrepot-ca
      resourceRef: { apiVersion: v1, kind: Secret, name: ${SECRET} }
`;

export const gardener: Target = {
  name: "gardener",
  title: "Gardener Shoots (MirrorConfig of the registry-mirror extension)",
  notes: {
    where: "spec.extensions of each Shoot that is to use this cache",
    restart:
      "nothing: Gardener's node agent writes the hosts.toml files of the nodes at the next reconciliation",
    mind: [
      'Capabilities are written out: Gardener\'s default is ["pull"] alone, which leaves tags to the registry, so that an image is not found here while its registry is down.',
      "A registry that the Shoot caches itself (registry-cache) cannot be mirrored as well.",
      "apiVersion is mirror.extensions.gardener.cloud/v1alpha1; the v1alpha3 on a page of Gardener's does not exist.",
      "The cache has to be reachable from the Shoot's nodes, which take a mirror only once it answers.",
    ],
  },
  render: ({ cache, upstreams, authority }, notes) => {
    const bundle = "                caBundleSecretReferenceName: entrepot-ca\n";
    const mirrors = upstreams.map(
      ({ name }) =>
        `          - upstream: "${name}"
            hosts:
              - host: "${cache.origin}"
                capabilities: [pull, resolve]
${authority === undefined ? "" : bundle}`,
    );
    return [
      {
        path: "shoot-patch.yaml",
        text: `${header(notes)}
spec:
  extensions:
    - type: registry-mirror
      providerConfig:
        apiVersion: mirror.extensions.gardener.cloud/v1alpha1
        kind: MirrorConfig
        mirrors:
${mirrors.join("")}${authority === undefined ? "" : RESOURCES}`,
      },
      ...(authority === undefined ? [] : [secretOf(authority)]),
    ];
  },
};

/** For the project's namespace in the garden cluster. A changed one needs a new name. */
function secretOf(authority: string): RenderedFile {
  const encoded = Buffer.from(authority).toString("base64");
  return {
    path: "secret.yaml",
    text: `# Where: the project's namespace in the garden cluster, before the Shoot names it
# After: nothing; another bundle is another Secret, with a name of its own in spec.resources
apiVersion: v1
kind: Secret
metadata: { name: ${SECRET} }
type: Opaque
immutable: true
data: { bundle.crt: ${encoded} }
`,
  };
}
