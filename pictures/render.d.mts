/** The names of the page's elements but for code, all of its text, and what of the text is in no code; without diagrams. */
export function rendered(summary: string): Readonly<{ elements: string; text: string; prose: string }>;
