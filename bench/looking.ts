import { nextLook } from '../src/aws/wait.ts';
import { round } from './calls.ts';

export type Looking = Readonly<{
  minutes: number;
  volumes: number;
  looksPerMinute: number;
  lateSeconds: number;
  latePercent: number;
}>;

/**
 * Plays the rule that places looks on copies into one account and region, the longest of so many minutes, the others
 * shorter by a tenth each and none waiting for a slot, so that the last to end places the looks; AWS tells progress in
 * whole percents. `late` is the longest copy's.
 */
export function looking(minutes: number, volumes: number): Looking {
  const ends = Array.from({ length: volumes }, (_, index) => minutes * 60 * (1 - index / 10));
  let looks = 0;
  let at = 0;
  let open = ends;
  while (open.length > 0) {
    const now = at;
    at += Math.max(...open.map((end) => nextLook(now, Math.floor((100 * now) / end), 15)));
    looks += 1;
    open = open.filter((end) => end > at);
  }
  const late = at - minutes * 60;
  return {
    minutes,
    volumes,
    looksPerMinute: round(looks / minutes, 1),
    lateSeconds: round(late, 1),
    latePercent: round(late / minutes / 0.6, 2),
  };
}
