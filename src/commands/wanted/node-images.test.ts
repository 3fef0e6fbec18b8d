import { expect, test } from "bun:test";
import { imageName } from "../../oci/image-reference.ts";
import { NodeImages } from "./node-images.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

test("a node's images are those of its runtime: by tag, or by digest where they have none", async () => {
  const cri = {
    images: async () => [
      {
        id: "1",
        tags: ["docker.io/library/nginx:1", "quay.io/org/nginx:1"],
        digests: [`docker.io/library/nginx@${DIGEST}`],
      },
      { id: "2", tags: [], digests: [`ghcr.io/org/app@${DIGEST}`] },
      { id: "3", tags: [], digests: [] },
      { id: "4", tags: ["<none>:<none>"], digests: [] },
    ],
  };
  const found = await Array.fromAsync(new NodeImages(cri, "n1").list(AbortSignal.timeout(5000)));
  expect(found.map(({ image, by }) => `${by}: ${imageName(image)}`)).toEqual([
    "node n1: docker.io/library/nginx:1",
    "node n1: quay.io/org/nginx:1",
    `node n1: ghcr.io/org/app@${DIGEST}`,
  ]);
});
