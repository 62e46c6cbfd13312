export function templates(): Record<string, string>;
