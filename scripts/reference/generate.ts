// `npm run docs`: writes the pages of docs/reference that are generated from the program, and the dashboard.
import { writeFileSync } from "node:fs";
import path from "node:path";
import { ensureApiTypes } from "../api-types.mjs";
import { referencePages } from "./pages.ts";

const root = path.dirname(path.dirname(import.meta.dir));

for (const [name, text] of Object.entries(await referencePages())) {
  writeFileSync(path.join(root, name), text);
  console.log(name);
}
await ensureApiTypes();
