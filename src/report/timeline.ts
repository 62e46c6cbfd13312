import { placeName, type Where } from '../aws/errors.ts';

/** What was done where, and when, in ms since the epoch. */
export type Span = Readonly<{ place: string; step: string; from: number; to: number }>;

/** The steps of a run as they went, for the report. */
export type Timeline = Readonly<{
  spans: readonly Span[];
  span<T>(where: Where, step: string, work: () => Promise<T>): Promise<T>;
}>;

export function openTimeline(now: () => number): Timeline {
  const spans: Span[] = [];
  return {
    spans,
    async span(where, step, work) {
      const from = now();
      try {
        return await work();
      } finally {
        spans.push({ place: placeName(where), step, from, to: now() });
      }
    },
  };
}
