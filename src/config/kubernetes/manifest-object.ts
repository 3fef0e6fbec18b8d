import { z } from "zod";
import type { ForeignFile } from "../foreign/foreign-file.ts";
import { type Origin, originIn } from "../foreign/imported-config.ts";
import type { Path, YamlSource } from "../parsing/yaml-source.ts";

/** An object of a Kubernetes manifest, and where it was written. */
export interface ManifestObject {
  readonly kind: string;
  readonly apiVersion: string;
  readonly name: string;
  /** Undefined if the manifest leaves it to kubectl. */
  readonly namespace: string | undefined;
  readonly value: unknown;
  /** The origin of a value inside the object. */
  readonly origin: (at: Path, what?: string) => Origin;
}

const header = z.object({
  kind: z.string().optional(),
  apiVersion: z.string().optional(),
  metadata: z.object({ name: z.string().optional(), namespace: z.string().optional() }).optional(),
});
const list = z.object({ items: z.array(z.unknown()) });

/** All objects of some files, with those of a List one by one. */
export function objectsIn(files: readonly ForeignFile[]): ManifestObject[] {
  return files.flatMap(({ documents }) =>
    documents.flatMap((source) => objectsAt(source, source.value, [])),
  );
}

function objectsAt(source: YamlSource, value: unknown, base: Path): ManifestObject[] {
  const parsed = header.safeParse(value);
  const { kind = "", apiVersion = "", metadata = {} } = parsed.success ? parsed.data : {};
  const items = kind.endsWith("List") ? list.safeParse(value) : undefined;
  if (items?.success) {
    return items.data.items.flatMap((item, index) =>
      objectsAt(source, item, [...base, "items", index]),
    );
  }
  return [
    {
      kind,
      apiVersion,
      name: metadata.name ?? "",
      namespace: metadata.namespace,
      value,
      origin: (at, what) => originIn(source, [...base, ...at], what),
    },
  ];
}

/** Whether two objects can refer to each other: an absent namespace is that of the other. */
export function isSameNamespace(one: ManifestObject, other: ManifestObject): boolean {
  return (one.namespace ?? other.namespace) === (other.namespace ?? one.namespace);
}
