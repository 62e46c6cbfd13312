import { nextLook } from '../src/aws/wait.ts';
import { round } from './measure.ts';

export type Looking = Readonly<{ minutes: number; looksPerMinute: number; lateSeconds: number; latePercent: number }>;

/** Plays the rule that places looks on copies of so many minutes, whose progress AWS tells in whole percents. */
export function looking(minutes: readonly number[]): Looking[] {
  return minutes.map((one) => {
    const whole = one * 60;
    let looks = 0;
    let at = 0;
    while (at < whole) {
      at += nextLook(at, Math.floor((100 * at) / whole), 15);
      looks += 1;
    }
    return {
      minutes: one,
      looksPerMinute: round(looks / one, 1),
      lateSeconds: round(at - whole, 1),
      latePercent: round((100 * (at - whole)) / whole, 2),
    };
  });
}
