// Writes the types with which the commands call the admin API, from its description in docs/reference. They are
// not in Git: `npm install`, `npm test` and `npm run check` make them, and `npm run docs` with the description.
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./bun.mjs";

export async function ensureApiTypes(folder = root) {
  const document = fs.readFileSync(path.join(folder, "docs/reference/openapi.json"), "utf8");
  const file = path.join(folder, ".cache/api/admin-api.d.ts");
  const mark = `// Of docs/reference/openapi.json: ${createHash("sha256").update(document).digest("hex")}\n`;
  if (fs.existsSync(file) && fs.readFileSync(file, "utf8").startsWith(mark)) return;
  // A dependency of the checks, which `npm install --omit=dev` leaves out.
  const generator = await import("openapi-typescript").catch(() => undefined);
  if (!generator) return;
  const { astToString, default: typesOf } = generator;
  const types = astToString(
    await typesOf(JSON.parse(document), { alphabetize: true, defaultNonNullable: false }),
  );
  fs.mkdirSync(path.dirname(file), { recursive: true });
  // Whole or not at all: another process may be reading it.
  const temporary = `${file}.${process.pid}`;
  fs.writeFileSync(temporary, mark + types);
  fs.renameSync(temporary, file);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await ensureApiTypes();
}
