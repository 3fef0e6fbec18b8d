export function build(arch: string, folder?: string): string;
