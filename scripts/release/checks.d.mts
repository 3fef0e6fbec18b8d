export function releaseProblems(version: string, folder: string): string[];
export function changelogSection(version: string, folder: string): string | undefined;
