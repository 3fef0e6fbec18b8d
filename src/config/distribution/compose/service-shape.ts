import type { ImportedConfig } from "../../foreign/imported-config.ts";
import { type ComposeNode, fieldOf } from "./tree.ts";

type Shape = "text" | "list" | "mapping";

/** The keys of a service that are read here, and what Compose accepts for them. */
const SHAPES: Readonly<Record<string, readonly Shape[]>> = {
  build: ["text", "mapping"],
  command: ["text", "list"],
  configs: ["list"],
  dns: ["text", "list"],
  entrypoint: ["text", "list"],
  env_file: ["text", "list"],
  environment: ["list", "mapping"],
  extra_hosts: ["list", "mapping"],
  image: ["text"],
  network_mode: ["text"],
  ports: ["list"],
  secrets: ["list"],
  user: ["text"],
  volumes: ["list"],
};

/** Whether a service has values of the right kinds; reports those that have not. */
export function hasValidShape(service: ComposeNode, imported: ImportedConfig): boolean {
  let isValid = true;
  for (const [key, allowed] of Object.entries(SHAPES)) {
    const node = fieldOf(service, key);
    if (!node || ("text" in node && node.text === null)) continue;
    if (allowed.includes(shapeOf(node))) continue;
    imported.reject(node.from, `is not valid in a Compose file: write a ${allowed.join(" or a ")}`);
    isValid = false;
  }
  return isValid;
}

function shapeOf(node: ComposeNode): Shape {
  if ("items" in node) return "list";
  return "fields" in node ? "mapping" : "text";
}
