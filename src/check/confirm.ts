import { areThere } from '../aws/describe.ts';
import { placeName, StepError } from '../aws/errors.ts';
import { joined } from '../join.ts';
import { asks } from '../operations/kinds.ts';
import { type Ec2Question, noResource } from '../operations/question.ts';
import { isMaking, type Plan } from '../plan/decided.ts';
import type { Checked, Made, Run } from '../run.ts';
import { type Answer, type Asker, askersOf, eachTargetUpTo, openAsking } from './asking.ts';
import { lackIn } from './telling.ts';

/**
 * A denial counts when it has stood for so long: policies may go by tags, which may be seen late
 * (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html).
 */
const standsSeconds = 120;
/** A new ID may be NotFound for so long, which says nothing of permissions. */
const unseenSeconds = 30;

/**
 * Asks what could be asked only with another ID before, once for each principal in each place, or in all of them where
 * there are many: without RegisterImage, a role would copy for hours in vain.
 */
export function openConfirming(run: Run, plan: Plan, { ec2DryRuns, denied }: Checked): Run['confirm'] {
  const askerOf = askersOf(run.request, plan, run.accounts);
  const put = openAsking(run.accounts);
  const byPlace = Map.groupBy(plan.operations, ({ place }) => placeName(place));
  const each = plan.targets.filter(isMaking).length <= eachTargetUpTo;
  const confirmed = new Map<string, Promise<void>>();

  const confirm = async (asker: Asker, made: Made): Promise<void> => {
    const place = asker.place.until(run.signal);
    const began = place.clock.now();
    const left = (seconds: number) => place.clock.now() - began < seconds * 1000;
    let open = questionsWith(asker, made);
    for (let wait = 1000; ; wait = Math.min(wait * 1.5, 15_000)) {
      const answers = await joined(open.map((question) => put({ ...asker, place }, question)));
      const unsettled = answers.filter(({ verdict }) => verdict.is !== 'may');
      const refused = unsettled.filter(({ verdict }) => verdict.is === 'may not');
      if (unsettled.length === 0) return undefined;
      if (!left(refused.length > 0 ? standsSeconds : unseenSeconds))
        return conclude(refused, { ...asker, place }, made);
      open = open.filter((question) => unsettled.some((answer) => answer.question === question));
      await place.sleep(wait);
    }
  };

  /** Those that a resource which is there now can answer, but for what was denied without it. */
  const questionsWith = (asker: Asker, made: Made): Ec2Question[] => {
    const asking = { ...run, standIns: { ...noResource, ...made } };
    const here = byPlace.get(placeName(asker.place)) ?? [];
    const questions = here
      .filter((operation) => askerOf(operation).principal === asker.principal)
      .flatMap((operation) => asks(operation, asking))
      .filter((one) => one.service === 'ec2')
      .filter(({ ids, standsIn }) => Object.values(made).some((id) => ids.includes(id)) && !standsIn)
      .filter(({ key }) => !denied.has(`${asker.principal} ${key}`));
    return [...new Map(questions.map((question) => [question.key, question])).values()];
  };

  /** Tells what is denied. Policies that go by tags deny what is gone: then the next that is made is asked about. */
  const conclude = async (refused: readonly Answer[], asker: Asker, made: Made): Promise<void> => {
    if (refused.length === 0 || (await areThere(asker.place, Object.values(made))))
      tell(refused, asker, Object.values(made));
    else confirmed.delete(nameOf(asker, made));
  };

  /** Whom one answer stands for. */
  const nameOf = ({ principal, place }: Asker, made: Made): string =>
    `${principal} ${each ? placeName(place) : place.account} ${Object.keys(made).join()}`;

  const tell = (refused: readonly Answer[], { place, role }: Asker, ids: readonly string[]): void => {
    const lacks = refused.flatMap(({ asker, question, verdict }) =>
      question.service === 'ec2'
        ? [{ ...lackIn(run.request, { asker, question, verdict }), without: question.without }]
        : [],
    );
    for (const { what, remedy, without } of lacks)
      if (without !== undefined) run.log.warn(`${placeName(place)}: ${what}: ${without}. What to do: ${remedy}`);
    const problems = lacks.filter(({ without }) => without === undefined);
    if (problems.length === 0) return;
    const doing = `Asking with ${ids.join(', ')} in ${placeName(place)} what else ${role} may do there`;
    const remedies = [...new Set(problems.map(({ remedy }) => remedy))].join('; ');
    throw new StepError(doing, new Error(problems.map(({ what }) => what).join('; ')), remedies);
  };

  return (operation, made) => {
    if (!ec2DryRuns) return Promise.resolve();
    const asker = askerOf(operation);
    const name = nameOf(asker, made);
    const known = confirmed.get(name) ?? confirm(asker, made);
    confirmed.set(name, known);
    return known;
  };
}
