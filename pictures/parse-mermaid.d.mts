/** What mermaid has against the text of a diagram, or null. */
export function complaint(text: string): Promise<string | null>;
export function labelsOf(text: string): Promise<ReadonlyMap<string, readonly string[]>>;
