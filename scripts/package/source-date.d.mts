export function sourceDate(): number;
