import { explainLine } from '../aws/errors.ts';
import type { ReleaseReport, Told } from '../outcome.ts';

export const nothing: ReleaseReport = {
  ...{ done: [], failed: [], stays: [], goesOn: [], foreign: [], allowed: [], warned: [], unknown: [] },
};

/** Something that failed, and the resource whose end makes it good. */
type Failure = Readonly<{ what: string; resource?: string }>;

/** What comes up on the way to a report; `gone` are resources that were removed. */
export type Notes = Record<Told, string[]> & {
  failed: Failure[];
  gone: Set<string>;
};

export const noNotes = (): Notes => ({
  ...{
    done: [],
    failed: [],
    gone: new Set(),
    stays: [],
    goesOn: [],
    foreign: [],
    allowed: [],
    warned: [],
    unknown: [],
  },
});

/** Adds what came up in an optional target: what failed there fails nothing else. */
export function addAllowed(notes: Notes, own: Notes): void {
  const { failed, ...told } = reportOf(own);
  for (const kind of ['done', 'stays', 'goesOn', 'foreign'] as const) notes[kind].push(...told[kind]);
  notes.allowed.push(...failed);
}

/** The result of `act`, or undefined after a note. A text tells what was done. */
export type Attempt = <T>(what: string, act: () => Promise<T>, resource?: string) => Promise<T | undefined>;

export function noting(notes: Notes, account: string): Attempt {
  return async (what, act, resource) => {
    try {
      const result = await act();
      if (typeof result === 'string') notes.done.push(result);
      return result;
    } catch (error) {
      const failure = { what: `${what} in ${account}: ${explainLine(error)}` };
      notes.failed.push(resource === undefined ? failure : { ...failure, resource });
      return undefined;
    }
  };
}

/** As `noting`, where only a tag says that anything may be there to be taken back: that it can't be looked for stops nothing. */
export function notingTagged(notes: Notes, account: string): Attempt {
  const aside = noNotes();
  const attempt = noting(aside, account);
  return async (what, act, resource) => {
    const result = await attempt(what, act, resource);
    notes.done.push(...aside.done.splice(0));
    const failed = aside.failed.splice(0).map((failure) => failure.what);
    notes.stays.push(
      ...failed.map((one) => `${one} (only a tag of a run that died says that it made something there)`),
    );
    return result;
  };
}

export function reportOf({ done, failed, gone, goesOn, ...told }: Notes): ReleaseReport {
  // What was to be taken off a resource that is gone is gone with it.
  const real = failed.filter(({ resource }) => resource === undefined || !gone.has(resource));
  const once = (texts: readonly string[]) => [...new Set(texts)];
  return {
    ...{ done, goesOn, stays: once(told.stays), foreign: once(told.foreign), allowed: once(told.allowed) },
    ...{ warned: once(told.warned), unknown: once(told.unknown) },
    failed: once(real.map(({ what }) => what)),
  };
}
