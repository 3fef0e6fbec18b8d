import { header, type RenderedFile, type Target } from "./target.ts";

const SECRET = "entrepot-ca-v1";
const RESOURCES = `  resources:
    - name: entrepot-ca
      resourceRef: { apiVersion: v1, kind: Secret, name: ${SECRET} }
`;

export const gardener: Target = {
  name: "gardener",
  title: "Gardener Shoots (MirrorConfig of the registry-mirror extension)",
  credentials: { use: "pull-secret", by: "containerd" },
  notes: {
    where: "spec.extensions of each Shoot that should use this cache",
    apply:
      "nothing to do: Gardener's node agent writes the nodes' hosts.toml files at the next reconciliation",
    caveats: [
      'Keep `capabilities`: Gardener\'s default is ["pull"] only. Tags would then be resolved by the registry, and pulls by tag would fail while it is down even if the image is cached.',
      "A registry that the Shoot's registry-cache extension caches cannot be mirrored as well.",
      "The apiVersion is mirror.extensions.gardener.cloud/v1alpha1; the v1alpha3 that one page of Gardener's documentation shows does not exist.",
      "The cache must be reachable from the Shoot's nodes: they configure a mirror only once it responds.",
    ],
  },
  render: ({ cache, upstreams, ca }, notes) => {
    const caReference =
      ca === undefined ? "" : "                caBundleSecretReferenceName: entrepot-ca\n";
    const mirrors = upstreams.map(
      ({ name }) =>
        `          - upstream: "${name}"
            hosts:
              - host: "${cache.origin}"
                capabilities: [pull, resolve]
${caReference}`,
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
${mirrors.join("")}${ca === undefined ? "" : RESOURCES}`,
      },
      ...(ca === undefined ? [] : [secretOf(ca)]),
    ];
  },
};

/**
 * For the project's namespace in the garden cluster. It is immutable: a new CA needs a new name.
 */
function secretOf(ca: string): RenderedFile {
  const encoded = Buffer.from(ca).toString("base64");
  return {
    path: "secret.yaml",
    text: `# Where: the project's namespace in the garden cluster
# Apply: create it before the Shoot references it. For another CA, create a Secret with a new
#        name and reference that in spec.resources
apiVersion: v1
kind: Secret
metadata: { name: ${SECRET} }
type: Opaque
immutable: true
data: { bundle.crt: ${encoded} }
`,
  };
}
