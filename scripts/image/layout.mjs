// OCI image layouts: blobs, the index that names them, and what refers to an image.
import { createHash } from "node:crypto";
import path from "node:path";
import { write } from "./base-layer.mjs";

export const mediaTypes = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  empty: "application/vnd.oci.empty.v1+json",
};

export class Layout {
  constructor(folder) {
    this.folder = folder;
  }

  /** Stores a blob and returns its descriptor. */
  put(mediaType, content) {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    const digest = createHash("sha256").update(bytes).digest("hex");
    write(this.folder, `blobs/sha256/${digest}`, bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  }

  /** Stores a document that refers to an image, and returns the descriptor of its manifest. */
  refer(subject, artifactType, title, document, annotations) {
    const empty = this.put(mediaTypes.empty, {});
    const layer = this.put(artifactType, document);
    const manifest = this.put(mediaTypes.manifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      artifactType,
      config: { ...empty, data: "e30=" },
      layers: [{ ...layer, annotations: { "org.opencontainers.image.title": title } }],
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
      annotations,
    });
    return { ...manifest, artifactType, annotations };
  }

  /** Writes what names the content. */
  finish(manifests) {
    const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests };
    write(this.folder, "index.json", JSON.stringify(index));
    write(this.folder, "oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  }
}

export function blobPath({ digest }) {
  return path.posix.join("blobs", digest.replace(":", "/"));
}
