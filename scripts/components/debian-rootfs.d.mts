export const packagingPackages: Readonly<Record<string, string>>;
export function ensureRootfs(suite: "bookworm" | "trixie"): Promise<string>;
