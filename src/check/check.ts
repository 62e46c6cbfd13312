import { DescribeImagesCommand } from '@aws-sdk/client-ec2';
import { GenerateDataKeyWithoutPlaintextCommand } from '@aws-sdk/client-kms';
import { together } from '../alike.ts';
import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import { regionOfKey } from '../aws/kms.ts';
import { ask } from '../aws/verdict.ts';
import { joined } from '../join.ts';
import { asks } from '../operations/kinds.ts';
import { type Asking, noResource } from '../operations/question.ts';
import { isMaking, type TargetPlan } from '../plan/decided.ts';
import type { Checked } from '../run.ts';
import { type Answer, askersOf, type Checking, eachTargetUpTo, openAsking } from './asking.ts';
import { checkExpected, checkRoom } from './expected.ts';
import { tell } from './telling.ts';

/**
 * Asks AWS what it would refuse of the plan's operations, each question once; it changes nothing. What AWS denies goes into
 * the findings with the statement, command or input that mends it, and so does what it answers oddly.
 */
export async function check(checking: Checking): Promise<Checked> {
  const { accounts, findings, plan } = checking;
  checkExpected(checking);
  checkRoom(checking);
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
    possible.map(({ asker, question }) =>
      findings.attempt(placeName(asker.place), `asking for ${question.action}`, () => put(asker, question)),
    ),
  );
  const told = answers.filter((answer) => answer !== undefined);
  for (const answer of told) tell(checking, answer);
  const unasked = [
    ...all.filter((one) => !possible.includes(one)),
    ...told.filter(({ verdict }) => verdict.is === 'not told'),
  ];
  const refused = told.filter(({ verdict }) => verdict.is === 'may not');
  const denied = refused.map(({ asker, question }) => `${asker.principal} ${question.key}`);
  return { ec2DryRuns, kmsDryRuns, denied: new Set(denied), unasked: sentences(unasked) };
}

type Asked = Pick<Answer, 'asker' | 'question'>;

/** Asked in every target, however many there are: names and keys differ. */
const everywhere = ['ec2:CopySnapshot', 'ec2:CopyImage'];

/** All questions, each once for one principal in one place; one that the run can't do without before one that it can. */
function collect({ request, leaseId, plan, accounts }: Checking): Asked[] {
  const { source, operations, targets } = plan;
  const byId = new Map(operations.map((operation) => [operation.id, operation]));
  const asking: Asking = { request, leaseId, source, operation: (id) => byId.get(id), standIns: noResource };
  const askerOf = askersOf(request, plan, accounts);
  const sampled = sampleOf(targets);
  const all = operations.flatMap((operation): Asked[] => {
    const asker = askerOf(operation);
    const here = asker.target === undefined || sampled.has(asker.target) || operation.kind === 'access';
    const questions = asks(operation, asking).filter(({ action }) => here || everywhere.includes(action));
    return questions.map((question) => ({ asker, question }));
  });
  // One that the run can't do without stands for its like.
  const needed = all.filter(({ question }) => question.service === 'kms' || question.without === undefined);
  const others = all.filter((one) => !needed.includes(one));
  return [...new Map([...needed, ...others].toReversed().map((one) => [nameOf(one), one])).values()].toReversed();
}

function nameOf({ asker, question }: Asked): string {
  const { account, region } = asker.place;
  const where = placeName({ account, region: question.service === 'kms' ? regionOfKey(question.keyArn) : region });
  return `${asker.principal} ${where} ${question.key}`;
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
async function kmsTakesDryRuns(asked: readonly Asked[]): Promise<boolean> {
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
function sentences(unasked: readonly Asked[]): string[] {
  const byPlace = Map.groupBy(unasked, ({ asker }) => placeName(asker.place));
  const problems = [...byPlace].map(([where, asked]) => {
    const actions = [...new Set(asked.map(({ question }) => question.action))].sort().join(', ');
    return { where, what: `whether the role may call ${actions} could not be asked beforehand`, remedy: '' };
  });
  return together(problems).map(({ places, what }) => `${places}: ${what}`);
}
