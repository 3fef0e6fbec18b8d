/** An object as Kubernetes stores it. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

export interface Change {
  readonly version: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  /** `pods`. */
  readonly plural: string;
  readonly object: KubernetesObject;
}

/** Objects with one counter of versions for all, and the history of their changes, as etcd has them. */
export class ObjectStore {
  readonly #objects = new Map<string, Map<string, KubernetesObject>>();
  readonly #listeners = new Set<(change: Change) => void>();
  #history: Change[] = [];
  /** The oldest version that a watch can go on from. */
  #compacted = 0;
  #version = 1000;

  get version(): number {
    return this.#version;
  }

  get compacted(): number {
    return this.#compacted;
  }

  /** In the order of their keys, as etcd lists them. */
  list(plural: string, namespace?: string): KubernetesObject[] {
    return [...(this.#objects.get(plural) ?? [])]
      .filter(([key]) => namespace === undefined || key.startsWith(`${namespace}/`))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  get(plural: string, key: string): KubernetesObject | undefined {
    return this.#objects.get(plural)?.get(key);
  }

  put(plural: string, object: KubernetesObject): KubernetesObject {
    const objects = this.#objects.get(plural) ?? new Map<string, KubernetesObject>();
    this.#objects.set(plural, objects);
    const key = keyOf(object);
    const type = objects.has(key) ? "MODIFIED" : "ADDED";
    const stored = this.#versioned(object);
    objects.set(key, stored);
    this.#changed({ version: this.#version, type, plural, object: stored });
    return stored;
  }

  remove(plural: string, key: string): KubernetesObject | undefined {
    const object = this.get(plural, key);
    if (!object) return undefined;
    this.#objects.get(plural)?.delete(key);
    const last = this.#versioned(object);
    this.#changed({ version: this.#version, type: "DELETED", plural, object: last });
    return last;
  }

  /** The changes after a version, and from now on those that follow; undefined if the version is too old. */
  since(version: number, listener: (change: Change) => void): (() => void) | undefined {
    if (version < this.#compacted) return undefined;
    for (const change of this.#history) if (change.version > version) listener(change);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets the history, as etcd does every five minutes. */
  compact(): void {
    this.#history = [];
    this.#version += 1;
    this.#compacted = this.#version;
  }

  #versioned(object: KubernetesObject): KubernetesObject {
    this.#version += 1;
    const metadata = { ...object.metadata, resourceVersion: String(this.#version) };
    return { ...object, metadata };
  }

  #changed(change: Change): void {
    this.#history.push(change);
    for (const listener of this.#listeners) listener(change);
  }
}

export function keyOf({ metadata: { namespace, name } }: KubernetesObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
