/** What tells the time and waits: the machine's own, or one that a test moves as it likes. */
export type Clock = Readonly<{
  /** ms since the epoch. */
  now(): number;
  sleep(ms: number): Promise<void>;
}>;

export const realClock: Clock = {
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
