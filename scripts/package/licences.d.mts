export function thirdPartyNotices(apache: string): string;
