import type { Built } from "./tree.mjs";

export function buildRpm(built: Built, folder: string, payload?: string): string;
