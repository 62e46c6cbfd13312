/** Every document that has generated parts, by its path, with its parts as they are now. */
export function documents(): Readonly<Record<string, string>>;
