import { header, type Target } from "./target.ts";

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
  render: ({ cache, upstreams }, notes) => {
    const mirrors = upstreams.map(
      ({ name }) =>
        `          - upstream: "${name}"
            hosts:
              - host: "${cache.origin}"
                capabilities: [pull, resolve]
`,
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
${mirrors.join("")}`,
      },
    ];
  },
};
