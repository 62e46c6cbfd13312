import { DescribeImagesCommand } from '@aws-sdk/client-ec2';
import { GenerateDataKeyWithoutPlaintextCommand } from '@aws-sdk/client-kms';
import { together } from '../alike.ts';
import type { Place } from '../aws/clients.ts';
import { areThere } from '../aws/describe.ts';
import { placeName } from '../aws/errors.ts';
import { regionOfKey } from '../aws/kms.ts';
import { ask } from '../aws/verdict.ts';
import { joined } from '../join.ts';
import { asks } from '../operations/kinds.ts';
import { type Asking, noResource } from '../operations/question.ts';
import { isMaking, type Plan, type TargetPlan } from '../plan/decided.ts';
import type { Operation } from '../plan/operation.ts';
import type { Findings } from '../plan/problem.ts';
import type { Checked } from '../run.ts';
import { type Answer, type Asker, askersOf, type Checking, eachTargetUpTo, openAsking } from './asking.ts';
import { tell } from './telling.ts';

/**
 * Asks AWS what it would refuse of the plan's operations, each question once; it changes nothing. What AWS denies goes into
 * the findings with the statement, command or input that mends it, and so does what it answers oddly.
 */
export async function check(checking: Checking): Promise<Checked> {
  const { accounts, findings, plan } = checking;
  const all = collect(checking);
  if (all.length === 0) return { ec2DryRuns: false, kmsDryRuns: false, denied: new Set(), unasked: [] };
  const [ec2DryRuns, kmsDryRuns] = await joined<[boolean, boolean]>([
    ec2TakesDryRuns(accounts.source(plan.source.place.region)),
    kmsTakesDryRuns(all),
  ]);
  const put = openAsking(accounts);
  const possible = all.filter(
    ({ question: { dry, service } }) => !dry || (service === 'ec2' ? ec2DryRuns : kmsDryRuns),
  );
  // The clients bound how many calls are under way.
  const answers = await joined(
    possible.map(async (one) => {
      const { asker, question } = one;
      const own = concerning(one, findings);
      const doing = `asking for ${question.action}`;
      const answer = await own.attempt(placeName(asker.place), doing, () =>
        untilTagged(plan, one, () => put(asker, question)),
      );
      return answer && { answer, own };
    }),
  );
  const heard = answers.filter((one) => one !== undefined);
  for (const { answer, own } of heard) tell({ ...checking, findings: own }, answer);
  const told = heard.map(({ answer }) => answer);
  const unasked = [
    ...all.filter((one) => !possible.includes(one)),
    ...told.filter(({ verdict }) => verdict.is === 'not told'),
  ];
  const refused = told.filter(({ verdict }) => verdict.is === 'may not');
  const denied = refused.map(({ asker, question }) => `${asker.principal} ${question.key}`);
  return { ec2DryRuns, kmsDryRuns, denied: new Set(denied), unasked: sentences(unasked) };
}

/**
 * Policies go by tags, which may come into force seconds after a tagged creation
 * (https://github.com/hashicorp/packer/issues/8591): a denial about what another run may just have made stands only then.
 */
const taggedWaitsSeconds = [1, 2, 4, 8];

/**
 * The answer to a question; to one about what is neither yet to come nor of the source, the last of several denials. What is
 * gone by then has no tags any more, and nobody will ask for it: that is no answer.
 */
async function untilTagged(
  { source }: Plan,
  { asker, question }: Asked,
  put: () => Promise<Answer>,
): Promise<Answer | undefined> {
  const { dry, standsIn, service } = question;
  const given = [source.imageId, ...source.snapshots.map(({ id }) => id)];
  const isMade =
    service === 'ec2' && dry && !standsIn && question.on.length > 0 && !given.some((id) => question.ids.includes(id));
  let answer = await put();
  for (const seconds of isMade ? taggedWaitsSeconds : []) {
    if (answer.verdict.is !== 'may not') break;
    await asker.place.sleep(seconds * 1000);
    answer = await put();
  }
  const isDenied = isMade && answer.verdict.is === 'may not';
  return isDenied && !(await areThere(asker.place, question.ids)) ? undefined : answer;
}

/** A question, whom it is put to, and the targets that its answer is of: one may stand for several of the same principal. */
type Asked = Pick<Answer, 'asker' | 'question'> & Readonly<{ targets: readonly string[] }>;

/** What is asked of the source account ends the run, whichever target it is for. */
function concerning({ asker, targets }: Asked, findings: Findings): Findings {
  return asker.target === undefined ? findings : findings.about(targets);
}

/** Asked in every target, however many there are: names and keys differ. */
const everywhere = ['ec2:CopySnapshot', 'ec2:CopyImage'];

/**
 * All questions, each once for one principal in one place; one that the run can't do without before one that it can. Of
 * thousands that are alike, no more than one is kept.
 */
function collect({ request, leaseId, plan, accounts }: Checking): Asked[] {
  const { source, operations, targets } = plan;
  const byId = new Map(operations.map((operation) => [operation.id, operation]));
  const asking: Asking = { request, leaseId, source, operation: (id) => byId.get(id), standIns: noResource };
  const askerOf = askersOf(request, plan, accounts);
  const sampled = sampleOf(targets);
  const put = new Map<string, Who & Readonly<{ targets: Set<string> }>>();
  const spokenFor = new Map<string, Set<string>>();
  const note = (who: Who, of: readonly string[]): void => {
    const name = nameOf(who);
    const known = put.get(name);
    const chosen = known === undefined || (isNeeded(who) && !isNeeded(known)) ? who : known;
    put.set(name, { ...chosen, targets: withMore(known?.targets, of) });
  };
  for (const operation of operations) {
    const asker = askerOf(operation);
    const here = asker.target === undefined || sampled.has(asker.target) || operation.kind === 'access';
    const of = concerned(operation, asker, targets);
    for (const question of asks(operation, asking)) {
      const who = { asker, question };
      if (here || everywhere.includes(question.action)) note(who, of);
      else spokenFor.set(alikeName(who), withMore(spokenFor.get(alikeName(who)), of));
    }
  }
  const { needed = [], others = [] } = Object.groupBy(put.values(), (one) => (isNeeded(one) ? 'needed' : 'others'));
  return [...needed, ...others].map((one): Asked => {
    return { ...one, targets: [...withMore(one.targets, spokenFor.get(alikeName(one)) ?? [])] };
  });
}

function withMore(set: Set<string> | undefined, more: Iterable<string>): Set<string> {
  const all = set ?? new Set();
  for (const one of more) all.add(one);
  return all;
}

/** Whether the run can't do without the answer. */
function isNeeded({ question }: Who): boolean {
  return question.service === 'kms' || question.without === undefined;
}

/** The targets that an operation in one is for: what a principal may do with a key of the source is asked once for all of its. */
function concerned(operation: Operation, { target, principal }: Asker, all: readonly TargetPlan[]): string[] {
  if (target === undefined) return [];
  if (operation.kind !== 'access') return [placeName(target.target.place)];
  return all
    .filter((one) => isMaking(one) && one.sourceKeys.includes(operation.key) && one.target.principalArn === principal)
    .map((one) => placeName(one.target.place));
}

type Who = Pick<Asked, 'asker' | 'question'>;

function nameOf({ asker, question }: Who): string {
  const { account, region } = asker.place;
  const where = placeName({ account, region: question.service === 'kms' ? regionOfKey(question.keyArn) : region });
  return `${asker.principal} ${where} ${question.key}`;
}

/** What one question has in common with its like in other places. */
function alikeName({ asker, question }: Who): string {
  return `${asker.principal} ${question.key}`;
}

function sampleOf(targets: readonly TargetPlan[]): Set<TargetPlan> {
  const making = targets.filter(isMaking);
  const others = targets.filter((target) => !isMaking(target));
  return new Set([...(making.length <= eachTargetUpTo ? making : oneOfEachRole(making)), ...oneOfEachRole(others)]);
}

function oneOfEachRole(targets: readonly TargetPlan[]): TargetPlan[] {
  return [...Map.groupBy(targets, ({ target }) => target.principalArn).values()].flatMap(([first]) => first ?? []);
}

/** Whether the endpoint knows dry runs at all: AWS does, but not every stand-in. What reads alone tells it safely. */
async function ec2TakesDryRuns(place: Place): Promise<boolean> {
  const command = new DescribeImagesCommand({ Owners: ['self'], ImageIds: [], DryRun: true });
  return (await ask(() => place.ec2(command), true)).is === 'may';
}

/** The same of KMS, asked by a call that does nothing in either case. Who denies all of it has looked at permissions. */
async function kmsTakesDryRuns(asked: readonly Who[]): Promise<boolean> {
  let denied = false;
  for (const { asker, question } of asked) {
    if (question.service === 'ec2') continue;
    const { keyArn: KeyId } = question;
    const command = new GenerateDataKeyWithoutPlaintextCommand({ KeyId, NumberOfBytes: 32, DryRun: true });
    const { is } = await ask(() => asker.at(regionOfKey(KeyId)).kms(command), true);
    if (is !== 'may not') return is === 'may';
    denied = true;
  }
  return denied;
}

/** What is not known beforehand, in a sentence for each place. */
function sentences(unasked: readonly Who[]): string[] {
  const byPlace = Map.groupBy(unasked, ({ asker }) => placeName(asker.place));
  const problems = [...byPlace].map(([where, asked]) => {
    const actions = [...new Set(asked.map(({ question }) => question.action))].sort().join(', ');
    return { where, what: `whether the role may call ${actions} could not be asked beforehand`, remedy: '' };
  });
  return together(problems).map(({ places, what }) => `${places}: ${what}`);
}
