import { listed } from './words.ts';

/** Something that would make the run fail, found before the first write; `where` names the account and region, or the input. */
export type Problem = Readonly<{ where: string; what: string; remedy: string }>;

/** So many places are named of a problem that many have. */
const namedPlaces = 5;

/** So many different problems are told in the log. */
const toldProblems = 20;

/** Problems that are alike but for the place, as one; where their words name the place, it stands as a placeholder. */
export function together(problems: readonly Problem[]): { places: string; what: string; remedy: string }[] {
  const groups = Map.groupBy(problems, (one) => JSON.stringify(anywhere(one)));
  return [...groups.values()].flatMap((group) => {
    const [first, ...others] = group;
    if (first === undefined) return [];
    const isSame = others.every(({ what, remedy }) => what === first.what && remedy === first.remedy);
    const places = listed(
      group.map(({ where }) => where),
      namedPlaces,
    );
    return { places, ...(isSame ? { what: first.what, remedy: first.remedy } : anywhere(first)) };
  });
}

/** The words of a problem without its own account and region. */
function anywhere({ where, what, remedy }: Problem): Pick<Problem, 'what' | 'remedy'> {
  const [, account, region] = /^(\d{12})\/([a-z\d-]+)$/.exec(where) ?? [];
  if (account === undefined || region === undefined) return { what, remedy };
  const general = (text: string) => text.replaceAll(account, '{account}').replaceAll(region, '{region}');
  return { what: general(what), remedy: general(remedy) };
}

/** The problems of one place in a line, with what to do about all of them at its end. */
export function problemLine(problems: readonly Problem[]): string {
  const remedies = [...new Set(problems.map(({ remedy }) => remedy))].filter(Boolean).join('; ');
  const what = problems.map((one) => one.what.replace(/\.$/, '')).join('; ');
  return remedies === '' ? what : `${what}. What to do: ${remedies}`;
}

/** A line for each of the different problems, with what to do below it; `all` says where those are that are too many. */
export function problemLines(problems: readonly Problem[], all: string): string {
  const different = together(problems);
  const more = different.length - toldProblems;
  return [
    ...different
      .slice(0, toldProblems)
      .map(({ places, what, remedy }) => `  ${places}: ${what}${remedy && `\n    What to do: ${remedy}`}`),
    ...(more > 0 ? [`  …and ${more} different ones more; ${all}`] : []),
  ].join('\n');
}
