import { expect } from "bun:test";
import { BUILT_IMAGE } from "../harness/images/built-image.ts";
import type { Manifest } from "../harness/pods/helm.ts";
import type { EndedContainer } from "../harness/pods/rendered-pod.ts";

/** Values for the image of this checkout. */
export function imageValues(): { image: object } {
  const [repository, tag] = BUILT_IMAGE.split(/:(?=[^/]*$)/);
  return { image: { registry: "", repository, tag } };
}

export function daemonSet(objects: readonly Manifest[], name: string): Manifest {
  const found = objects.find((it) => it.kind === "DaemonSet" && it.metadata.name === name);
  if (!found) throw new Error(`there is no DaemonSet ${name}`);
  return found;
}

export function expectDone({ exitCode, output }: EndedContainer, text: string): void {
  expect([exitCode, output]).toEqual([0, expect.stringContaining(text)]);
}
