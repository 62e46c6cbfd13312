/** What was done where, and when, in ms since the epoch. */
export type Span = Readonly<{ place: string; step: string; from: number; to: number }>;
