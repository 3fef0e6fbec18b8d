import { certsTree } from "./hosts-toml.ts";
import { authorityAt, hostOf, isPlain, RenderError, type Target } from "./target.ts";

export const docker: Target = {
  name: "docker",
  title: "Docker",
  notes: {
    where:
      "/etc/docker/daemon.json: merge the keys into the file you have. It is JSON and has no comments",
    restart:
      "`systemctl reload docker` takes up the mirrors; `docker info` shows them under Registry Mirrors",
    mind: [
      "registry-mirrors is for Docker Hub alone. Images of other registries are pulled by path, `docker pull CACHE/ghcr.io/org/image:tag`, which insecure-registries allows over HTTP.",
      "The hosts.toml files below /etc/docker/certs.d count only with Docker's containerd image store (`docker info` then names a driver-type io.containerd.snapshotter.v1).",
      "A comma too many keeps Docker from starting: `dockerd --validate --config-file /etc/docker/daemon.json` first, which Docker 23 and newer know.",
    ],
  },
  render: (input, notes) => {
    const { cache, upstreams } = input;
    if (!upstreams.some(({ name }) => name === "docker.io")) {
      throw new RenderError(
        "Docker knows mirrors of Docker Hub only, and docker.io is not among the upstreams: add --upstream docker.io",
      );
    }
    const daemon = {
      "registry-mirrors": [cache.origin],
      ...(isPlain(cache) ? { "insecure-registries": [hostOf(cache)] } : {}),
    };
    const others = upstreams.filter(({ name }) => name !== "docker.io");
    return [
      { path: "/etc/docker/daemon.json", text: `${JSON.stringify(daemon, undefined, 2)}\n` },
      ...authorityAt(`/etc/docker/certs.d/${hostOf(cache)}/ca.crt`, input),
      ...certsTree("/etc/docker/certs.d", { ...input, upstreams: others }, notes),
    ];
  },
};
