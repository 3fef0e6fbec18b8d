// `npm run manifests`: writes the manifests for people without Helm, from the chart.
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { manifestFiles } from "./manifests.ts";

const root = path.dirname(path.dirname(import.meta.dir));

for (const [name, text] of Object.entries(await manifestFiles())) {
  const file = path.join(root, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(name);
}
