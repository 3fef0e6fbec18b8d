import { parseRange, resolveRange } from "../../../src/oci/range.ts";
import { type Content, contentOf, descriptor, type SmallContent } from "../images/content.ts";
import type { Image } from "../images/images.ts";
import type { UpstreamRequest } from "./upstream-request.ts";

/** A correct response: the bytes of `content` from `first` up to `end`, exclusive. */
export interface RegistryResponse {
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

/** The content of a scripted upstream, and the responses of a registry without faults. */
export class InMemoryRegistry {
  readonly #repositories = new Map<string, Repository>();
  readonly #files = new Map<string, Content>();

  add(name: string, image: Image): void {
    const repository = this.#repository(name);
    for (const blob of image.blobs) repository.blobs.set(blob.digest, blob);
    repository.manifests.set(image.manifest.digest, image.manifest);
    for (const child of image.children) this.add(name, child);
  }

  addBlob(name: string, content: Content): void {
    this.#repository(name).blobs.set(content.digest, content);
  }

  addFile(path: string, content: Content): void {
    this.#files.set(path, content);
  }

  tag(name: string, tag: string, digest: string | undefined): void {
    if (digest === undefined) this.#repository(name).tags.delete(tag);
    else this.#repository(name).tags.set(tag, digest);
  }

  remove(name: string, digest: string): void {
    this.#repository(name).blobs.delete(digest);
    this.#repository(name).manifests.delete(digest);
  }

  respond(request: UpstreamRequest, ignoreRange: boolean): RegistryResponse {
    if (request.method !== "GET" && request.method !== "HEAD")
      return errorResponse(405, "UNSUPPORTED");
    const repository = this.#repositories.get(request.repository);
    const { reference } = request;
    switch (request.kind) {
      case "ping":
        return fullResponse(contentOf("{}", "application/json"));
      case "blob":
        return contentResponse(
          repository?.blobs.get(reference),
          request,
          ignoreRange,
          "BLOB_UNKNOWN",
        );
      case "manifest": {
        const digest = repository?.tags.get(reference) ?? reference;
        const manifest = repository?.manifests.get(digest);
        return contentResponse(manifest, request, true, "MANIFEST_UNKNOWN");
      }
      case "tags":
        return repository ? tagsResponse(request, repository) : errorResponse(404, "NAME_UNKNOWN");
      case "referrers":
        return fullResponse(referrers(reference, repository));
      case "other":
        return contentResponse(this.#files.get(request.path), request, ignoreRange, "NOT_FOUND");
    }
  }

  #repository(name: string): Repository {
    let repository = this.#repositories.get(name);
    if (!repository) this.#repositories.set(name, (repository = new Repository()));
    return repository;
  }
}

function contentResponse(
  found: Content | undefined,
  request: UpstreamRequest,
  ignoreRange: boolean,
  code: string,
): RegistryResponse {
  if (!found) return errorResponse(404, code);
  const headers = {
    "Docker-Content-Digest": found.digest,
    ...(request.kind === "manifest" ? {} : { "Accept-Ranges": "bytes" }),
  };
  const requestedRange = ignoreRange ? undefined : parseRange(request.headers.get("range"));
  if (!requestedRange || requestedRange.kind === "several" || request.method === "HEAD") {
    return fullResponse(found, headers);
  }
  const range = resolveRange(requestedRange, found.size);
  if (!range) {
    const unsatisfiable = errorResponse(416, "RANGE_INVALID");
    return {
      ...unsatisfiable,
      headers: { ...unsatisfiable.headers, "Content-Range": `bytes */${found.size}` },
    };
  }
  return {
    ...fullResponse(found, headers),
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

function tagsResponse(
  { query, path, repository: name }: UpstreamRequest,
  repository: Repository,
): RegistryResponse {
  const last = query.get("last") ?? "";
  const all = [...repository.tags.keys()].sort().filter((tag) => tag > last);
  const n = Number(query.get("n") ?? all.length);
  const page = all.slice(0, n);
  const next = `<${path}?n=${n}&last=${page.at(-1)}>; rel="next"`;
  const isLast = page.length === all.length || page.length === 0;
  return fullResponse(
    contentOf({ name, tags: page }, "application/json"),
    isLast ? {} : { Link: next },
  );
}

/**
 * The manifests of a repository that refer to a digest (distribution-spec, "Listing Referrers").
 */
function referrers(digest: string, repository: Repository | undefined): Content {
  const manifests = [...(repository?.manifests.values() ?? [])].flatMap((manifest) => {
    // images.ts makes the manifests: each of these fields has this type or is absent.
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

function fullResponse(
  body: Content,
  headers: Readonly<Record<string, string>> = {},
): RegistryResponse {
  const all = { ...headers, "Content-Type": body.mediaType };
  return { status: 200, headers: all, content: body, first: 0, end: body.size };
}

function errorResponse(status: number, code: string): RegistryResponse {
  const errors = [{ code, message: "the scripted upstream does not have it" }];
  return { ...fullResponse(contentOf({ errors }, "application/json")), status };
}
