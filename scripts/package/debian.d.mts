import type { Built } from "./tree.mjs";

export function buildDebian(built: Built, folder: string, compression?: readonly string[]): string;
