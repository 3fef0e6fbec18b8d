export function packageChart(version: string, digest: string, folder: string): Promise<string>;
export function withDigest(values: string, digest: string): string;
export function pinnedManifests(text: string, version: string, digest: string): string;
