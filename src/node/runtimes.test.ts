import { expect, test } from "bun:test";
import { FakeFiles } from "./nodetest/fake-files.ts";
import { findRuntimes } from "./runtimes.ts";

const CONTAINERD = "/usr/bin/containerd";
const SOCKET = "/run/containerd/containerd.sock";
const KUBELET = "/var/lib/kubelet/config.yaml";

test.each([
  ["nothing: containerd, whose checks say what is missing", [], ["containerd"]],
  ["containerd alone, stopped", [CONTAINERD], ["containerd"]],
  ["Docker with its containerd", ["/usr/bin/dockerd", CONTAINERD, SOCKET], ["docker"]],
  [
    "Docker on a node of Kubernetes",
    ["/usr/bin/dockerd", CONTAINERD, SOCKET, KUBELET],
    ["containerd", "docker"],
  ],
  ["k3s with a containerd that does not run", ["/usr/local/bin/k3s", CONTAINERD, KUBELET], ["k3s"]],
  ["k3s beside Docker", ["/etc/rancher/k3s/config.yaml", "/run/docker.sock"], ["k3s", "docker"]],
  [
    "RKE2 beside a containerd that runs",
    ["/usr/bin/rke2", SOCKET, CONTAINERD],
    ["containerd", "rke2"],
  ],
  ["Podman beside a stopped containerd", ["/usr/bin/podman", CONTAINERD], ["podman"]],
  [
    "a kubelet's containerd that is down",
    ["/usr/bin/podman", CONTAINERD, KUBELET],
    ["containerd", "podman"],
  ],
  ["CRI-O and Podman, which read the same files", ["/usr/bin/podman", "/usr/bin/crio"], ["cri-o"]],
])("finds %s", (_, paths, names) => {
  const files = Object.fromEntries(paths.map((path) => [path, ""]));
  expect(findRuntimes(new FakeFiles(files), false)).toEqual(
    names as ReturnType<typeof findRuntimes>,
  );
});

test("an image whose containerd cannot be running has it found by its files", () => {
  const files = new FakeFiles({ [CONTAINERD]: "", "/usr/bin/podman": "" });
  expect(findRuntimes(files, true)).toEqual(["containerd", "podman"]);
});
