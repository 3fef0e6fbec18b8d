export function isVersion(text: string): boolean;
export function packageVersion(version: string): string;
