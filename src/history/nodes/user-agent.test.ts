import { expect, test } from "bun:test";
import { runtimeText } from "./user-agent.ts";

test.each([
  ["containerd/v1.5.2", "containerd 1.5.2"],
  ["containerd/2.1.4", "containerd 2.1.4"],
  ["containerd/1.6.20~ds1", "containerd 1.6.20~ds1"],
  ["containerd/1.7.24+unknown", "containerd 1.7.24+unknown"],
  ["containerd/v1.7.20-k3s1", "k3s 1.7.20-k3s1"],
  [
    "cri-o/1.27.8-2.rhaos4.14.gitbfac241.el9 go/go1.20.12 os/linux arch/amd64",
    "cri-o 1.27.8-2.rhaos4.14.gitbfac241.el9",
  ],
  [
    "docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.1.0 os/linux arch/amd64 UpstreamClient(Docker-Client/27.3.1 \\(linux\\))",
    "docker 27.3.1",
  ],
  [
    "docker/28.0.0 go/go1.23.6 git-commit/af898ab containerd-client/1.7.25+unknown storage-driver/overlayfs",
    "docker 28.0.0",
  ],
  ["containers/5.34.0 (github.com/containers/image)", "podman 5.34.0"],
  ["skopeo/1.9.3", "skopeo 1.9.3"],
  ["Buildah/1.28.0", "buildah 1.28.0"],
  ["crane/0.20.1 go-containerregistry/0.20.1", "crane 0.20.1"],
  ["go-containerregistry", "go-containerregistry"],
  ["werf/v2.7.3 go-containerregistry/v0.19.1", "werf 2.7.3"],
  ["buildkit/v0.16", "buildkit 0.16"],
  ["Go-http-client/1.1", undefined],
  ["Mozilla/5.0 (X11; Linux x86_64)", undefined],
  ["entrepot-node", undefined],
  ["", undefined],
  ["containerd/<script>alert(1)</script>", "containerd"],
  ["containerd/$(id)", "containerd"],
  ["my-tool/1.2\n\u001b[31m", "my-tool 1.2"],
  [`containerd/${"1".repeat(10_000)}`, undefined],
])("the user agent %j is %p", (userAgent, runtime) => {
  expect(runtimeText(userAgent)).toBe(runtime);
});
