import type { Built } from "./tree.mjs";

export function buildArchive(built: Built, folder: string): string;
