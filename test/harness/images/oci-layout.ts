import { writeFile } from "node:fs/promises";
import { bytesOf, contentOf, descriptor } from "./content.ts";
import { allBlobs, allManifests, type Image } from "./images.ts";
import { tar } from "./tar.ts";

/** Writes an image as a tar of an OCI image layout, which `ctr images import` and skopeo read. */
export async function writeLayout(file: string, image: Image, name: string): Promise<void> {
  const entry = {
    ...descriptor(image.manifest),
    annotations: {
      "io.containerd.image.name": name,
      "org.opencontainers.image.ref.name": name.slice(name.lastIndexOf(":") + 1),
    },
  };
  const json = (value: object) => contentOf(value, "application/json").bytes;
  const contents = new Map(
    [...allBlobs(image), ...allManifests(image)].map((one) => [one.digest, one]),
  );
  const archive = tar([
    { path: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) },
    { path: "index.json", content: json({ schemaVersion: 2, manifests: [entry] }) },
    ...[...contents].map(([digest, content]) => ({
      path: `blobs/${digest.replace(":", "/")}`,
      content: bytesOf(content),
    })),
  ]);
  await writeFile(file, archive);
}
