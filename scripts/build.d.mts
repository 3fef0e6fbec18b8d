export function build(processor: string, folder?: string): string;
