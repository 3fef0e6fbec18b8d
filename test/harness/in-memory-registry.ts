import { parseRange, resolveRange } from "../../src/oci/range.ts";
import { type Content, contentOf, descriptor, type SmallContent } from "./content.ts";
import type { Image } from "./images.ts";
import type { UpstreamRequest } from "./upstream-request.ts";

/** A true answer: the bytes of `content` from `first` up to `end`. */
export interface ShelfAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: Content;
  readonly first: number;
  readonly end: number;
}

class Repository {
  readonly blobs = new Map<string, Content>();
  readonly manifests = new Map<string, SmallContent>();
  readonly tags = new Map<string, string>();
}

/** What a scripted upstream holds, and the answers that a faultless registry would give. */
export class Shelf {
  readonly #repositories = new Map<string, Repository>();
  readonly #files = new Map<string, Content>();

  add(name: string, image: Image): void {
    const repository = this.#open(name);
    for (const blob of image.blobs) repository.blobs.set(blob.digest, blob);
    repository.manifests.set(image.manifest.digest, image.manifest);
    for (const child of image.children) this.add(name, child);
  }

  addBlob(name: string, content: Content): void {
    this.#open(name).blobs.set(content.digest, content);
  }

  addFile(path: string, content: Content): void {
    this.#files.set(path, content);
  }

  tag(name: string, tag: string, digest: string | undefined): void {
    if (digest === undefined) this.#open(name).tags.delete(tag);
    else this.#open(name).tags.set(tag, digest);
  }

  remove(name: string, digest: string): void {
    this.#open(name).blobs.delete(digest);
    this.#open(name).manifests.delete(digest);
  }

  answer(request: UpstreamRequest, ignoreRange: boolean): ShelfAnswer {
    if (request.method !== "GET" && request.method !== "HEAD") return error(405, "UNSUPPORTED");
    const repository = this.#repositories.get(request.repository);
    const { reference } = request;
    switch (request.kind) {
      case "ping":
        return whole(contentOf("{}", "application/json"));
      case "blob":
        return held(repository?.blobs.get(reference), request, ignoreRange, "BLOB_UNKNOWN");
      case "manifest": {
        const digest = repository?.tags.get(reference) ?? reference;
        const manifest = repository?.manifests.get(digest);
        return held(manifest, request, true, "MANIFEST_UNKNOWN");
      }
      case "tags":
        return repository ? tags(request, repository) : error(404, "NAME_UNKNOWN");
      case "referrers":
        return whole(referrers(reference, repository));
      case "other":
        return held(this.#files.get(request.path), request, ignoreRange, "NOT_FOUND");
    }
  }

  #open(name: string): Repository {
    let repository = this.#repositories.get(name);
    if (!repository) this.#repositories.set(name, (repository = new Repository()));
    return repository;
  }
}

function held(
  found: Content | undefined,
  request: UpstreamRequest,
  ignoreRange: boolean,
  code: string,
): ShelfAnswer {
  if (!found) return error(404, code);
  const headers = {
    "Docker-Content-Digest": found.digest,
    ...(request.kind === "manifest" ? {} : { "Accept-Ranges": "bytes" }),
  };
  const asked = ignoreRange ? undefined : parseRange(request.headers.get("range"));
  if (!asked || request.method === "HEAD") return whole(found, headers);
  const range = resolveRange(asked, found.size);
  if (!range) {
    const refused = error(416, "RANGE_INVALID");
    return {
      ...refused,
      headers: { ...refused.headers, "Content-Range": `bytes */${found.size}` },
    };
  }
  return {
    ...whole(found, headers),
    status: 206,
    headers: {
      ...headers,
      "Content-Type": found.mediaType,
      "Content-Range": `bytes ${range.first}-${range.last}/${found.size}`,
    },
    first: range.first,
    end: range.last + 1,
  };
}

function tags(
  { query, path, repository: name }: UpstreamRequest,
  repository: Repository,
): ShelfAnswer {
  const last = query.get("last") ?? "";
  const all = [...repository.tags.keys()].sort().filter((tag) => tag > last);
  const n = Number(query.get("n") ?? all.length);
  const page = all.slice(0, n);
  const next = `<${path}?n=${n}&last=${page.at(-1)}>; rel="next"`;
  const isLast = page.length === all.length || page.length === 0;
  return whole(contentOf({ name, tags: page }, "application/json"), isLast ? {} : { Link: next });
}

/** The manifests of a repository that refer to a digest (distribution-spec, "Listing Referrers"). */
function referrers(digest: string, repository: Repository | undefined): Content {
  const manifests = [...(repository?.manifests.values() ?? [])].flatMap((manifest) => {
    // Manifests are made by images.ts, which writes these two so or not at all.
    const json = JSON.parse(new TextDecoder().decode(manifest.bytes)) as {
      subject?: { digest: string };
      artifactType?: string;
    };
    if (json.subject?.digest !== digest) return [];
    return [{ ...descriptor(manifest), artifactType: json.artifactType }];
  });
  const mediaType = "application/vnd.oci.image.index.v1+json";
  return contentOf({ schemaVersion: 2, mediaType, manifests }, mediaType);
}

function whole(body: Content, headers: Readonly<Record<string, string>> = {}): ShelfAnswer {
  const all = { ...headers, "Content-Type": body.mediaType };
  return { status: 200, headers: all, content: body, first: 0, end: body.size };
}

function error(status: number, code: string): ShelfAnswer {
  const errors = [{ code, message: "the scripted upstream has no such thing" }];
  return { ...whole(contentOf({ errors }, "application/json")), status };
}
