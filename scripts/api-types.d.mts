/** Makes the types of the admin API, unless they are current. */
export function ensureApiTypes(folder?: string): Promise<void>;
