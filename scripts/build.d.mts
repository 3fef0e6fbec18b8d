export function build(arch: string, folder?: string): string;
export function buildShare(folder?: string): string;
