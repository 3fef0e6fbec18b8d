import type { Variable } from "../distribution/container/container.ts";
import { mark } from "../distribution/container/unresolved.ts";
import type { Origin } from "../foreign/imported-config.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { ManifestObject } from "./manifest-object.ts";
import type { ContainerSpec, VariableSpec } from "./pod-schema.ts";
import type { MissingValues, StoredValue, StoredValues } from "./stored-values.ts";

/** Reads the variables of containers: their values, and those in ConfigMaps and Secrets. */
export class PodEnvironment {
  readonly #object: ManifestObject;
  readonly #stored: StoredValues;
  /** What could not be found. It matters only if the container is a registry. */
  readonly problems: { readonly from: Origin; readonly message: string }[] = [];

  constructor(object: ManifestObject, stored: StoredValues) {
    this.#object = object;
    this.#stored = stored;
  }

  /** @param at the path of the container */
  read({ env, envFrom }: Pick<ContainerSpec, "env" | "envFrom">, at: Path): Variable[] {
    const variables = (envFrom ?? []).flatMap(({ prefix, configMapRef, secretRef }, index) => {
      const from = this.#object.origin([...at, "envFrom", index]);
      const reference = configMapRef ?? secretRef;
      if (!reference) return [];
      const values = configMapRef
        ? this.#stored.configMap(reference.name, this.#object)
        : this.#stored.secret(reference.name, ["REGISTRY_PROXY_PASSWORD"], this.#object, from);
      if (!("missing" in values)) {
        return [...values].map(([key, value]) => ({
          name: `${prefix ?? ""}${key}`,
          value: value.text,
          from: value.from,
        }));
      }
      if (!reference.optional) this.problems.push({ from, message: values.missing });
      return [];
    });
    return this.list(env ?? [], [...at, "env"], variables);
  }

  /** Adds a list of variables, each of which may use those before it. */
  list(env: readonly VariableSpec[], at: Path, before: readonly Variable[] = []): Variable[] {
    const variables = [...before];
    for (const [index, spec] of env.entries()) {
      const variable = this.#variable(spec, [...at, index], variables);
      if (variable) variables.push(variable);
    }
    return variables;
  }

  #variable(
    { name, value, valueFrom }: VariableSpec,
    at: Path,
    before: readonly Variable[],
  ): Variable | undefined {
    const from = this.#object.origin(at, name);
    if (!valueFrom) return { name, value: expand(value ?? "", before), from };
    const { secretKeyRef, configMapKeyRef, ...others } = valueFrom;
    const reference = secretKeyRef ?? configMapKeyRef;
    if (!reference) {
      const [kind = "valueFrom"] = Object.keys(others);
      return { name, value: mark(`${kind} of the pod`), from };
    }
    // Other variables do not concern the registry, and may refer to what is not imported.
    if (!name.startsWith("REGISTRY_")) return { name, value: mark(reference.name), from };
    const values = secretKeyRef
      ? this.#stored.secret(reference.name, [reference.key], this.#object, from)
      : this.#stored.configMap(reference.name, this.#object);
    const found = valueOf(values, reference.key);
    if ("text" in found) return { name, value: found.text, from: found.from };
    if (!reference.optional) this.problems.push({ from, message: found.missing });
    return undefined;
  }
}

function valueOf(
  values: ReadonlyMap<string, StoredValue> | MissingValues,
  key: string,
): StoredValue | MissingValues {
  if ("missing" in values) return values;
  return values.get(key) ?? { missing: `refers to the key ${key}, which does not exist there` };
}

/** Expands `$(NAME)`, with `$$` for a dollar sign. Kubernetes leaves names that are not known. */
export function expand(text: string, variables: readonly Variable[]): string {
  return text.replaceAll(/\$\$|\$\(([\w.-]+)\)/g, (written, name: string | undefined) =>
    name === undefined
      ? "$"
      : (variables.findLast((variable) => variable.name === name)?.value ?? written),
  );
}
