export function ensurePackage(name: string, integrity: string): Promise<string>;
