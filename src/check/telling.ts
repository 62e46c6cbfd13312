import { denialRemedy, deniedIn, lackOf, lacksIn, policyIn } from '../aws/denial.ts';
import { placeName } from '../aws/errors.ts';
import { regionOfKey, useStatements } from '../aws/kms.ts';
import { sourceKeyParameter, templateFirst } from '../aws/template-parameters.ts';
import type { Verdict } from '../aws/verdict.ts';
import type { Request } from '../inputs.ts';
import type { Ec2Question, KeyQuestion, Question } from '../operations/question.ts';
import type { Findings } from '../plan/problem.ts';
import type { Answer, Asker } from './asking.ts';

type Telling = Readonly<{ request: Request; findings: Findings }>;

/** Tells what an answer comes to: a problem with its remedy, or a warning where the run can do without. */
export function tell(telling: Telling, { asker, question, verdict, hindrances }: Answer): void {
  const { findings } = telling;
  const where = placeName(asker.place);
  for (const { what, remedy } of hindrances)
    if (remedy === undefined) findings.warn(where, what);
    else findings.add(where, what, remedy);
  if (verdict.is === 'may not') {
    if (question.service === 'kms') tellKeyDenial(telling, { asker, question, verdict });
    else tellDenial(telling, { asker, question, verdict });
  } else if (verdict.is === 'not told' && isOdd(question, verdict)) {
    const { action, dry } = question;
    const lost = question.service === 'ec2' && question.without !== undefined ? `: ${question.without}` : '';
    const failed = dry ? `whether ${asker.role} may call ${action} could not be asked` : `${action} failed`;
    findings.warn(where, `${failed} (${verdict.words})${lost}`);
  }
}

/**
 * That something isn't there, or isn't shared yet, is to be expected; and so is any answer about what stands in for it.
 * What is no answer is odd in any case.
 */
function isOdd({ standsIn }: Question, { words }: Verdict): boolean {
  if (/^(UnreadableAnswer|NotFromAws|InternalError|Unavailable)\b/.test(words)) return true;
  return words !== '' && !standsIn && !/^\w+\.?NotFound/.test(words);
}

type Denial<Q> = Readonly<{ asker: Asker; question: Q; verdict: Verdict }>;

function tellDenial({ request, findings }: Telling, denial: Denial<Ec2Question>): void {
  const where = placeName(denial.asker.place);
  const { what, remedy } = lackIn(request, denial);
  const { without } = denial.question;
  if (without === undefined) findings.add(where, what, remedy);
  else findings.warn(where, `${what}: ${without}. What to do: ${remedy}`);
}

/** A denial of EC2's as a problem. */
export function lackIn(
  { source: { partition } }: Request,
  { asker, question, verdict }: Denial<Ec2Question>,
): { what: string; remedy: string } {
  const { account, region } = asker.place;
  // What all targets' roles lack is told once, so their statements name no region.
  const here = asker.target === undefined ? region : '*';
  // Images and snapshots have no account: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
  const arns = (types: readonly string[]) =>
    types.map(
      (type) => `arn:${partition}:ec2:${here}:${type === 'image' || type === 'snapshot' ? '' : account}:${type}/*`,
    );
  const resources = question.on.length === 0 ? ['*'] : arns(question.on);
  const { role } = asker;
  const side = sideOf(asker);
  return lackOf({
    role,
    side,
    action: question.action,
    resources,
    tagged: arns(question.tagged),
    words: verdict.words,
  });
}

const sideOf = ({ target }: Asker) => (target === undefined ? 'source' : 'target');

/**
 * Two sets are known of what a copy takes of KMS: what AWS documents, and the smaller one that copies were measured to
 * take. Lacking what both have is a problem; lacking what only the documented set has is a warning.
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
 */
const inBothSets = ['GenerateDataKeyWithoutPlaintext', 'DescribeKey'];

function tellKeyDenial({ request, findings }: Telling, { asker, question, verdict }: Denial<KeyQuestion>): void {
  const { keyArn, counts, mending, foreign, otherwise } = question;
  const denied = deniedIn(verdict.words)?.action ?? question.action;
  // Encrypting under that key again is nothing that reading takes.
  if (mending === 'reading' && denied === 'kms:ReEncryptTo') return;
  const byKey = foreign && !verdict.words.includes('identity-based policy');
  // What a grant or a statement is to allow isn't allowed yet.
  if (byKey && request.source.keyAccess !== 'existing') return;
  const { account } = asker.place;
  const where = placeName({ account, region: regionOfKey(keyArn) });
  const what = `${asker.role} is not allowed to call ${denied} on ${keyArn}`;
  const remedy = byKey
    ? `add to the policy of that key: ${listed(useStatements({ Principal: accountOf(request, account), Resource: '*' }))}`
    : ownRemedy(request, { asker, question, verdict });
  const stops = counts === 'through-ec2' && inBothSets.includes(denied.slice('kms:'.length));
  if (counts === 'ours') findings.add(where, what, [remedy, ...otherwise].join('; '));
  else if (stops && request.keyPreflight === 'fail')
    findings.add(
      where,
      what,
      `${remedy}; where it is allowed only through EC2 (kms:ViaService), set key-preflight to warn`,
    );
  else findings.warn(where, `${what}. What to do: ${remedy}`);
}

/** What mends a denial on a key in the role's own policies. */
function ownRemedy(request: Request, { asker, question, verdict: { words } }: Denial<KeyQuestion>): string {
  const { keyArn, mending, foreign } = question;
  if (mending === 'reading' && isOwnLack(words)) {
    const add = `add to its policy: ${listed(useStatements({ Resource: keyArn }))}`;
    return templateFirst(foreign ? sourceKeyParameter(keyArn, request.source.region) : undefined, add);
  }
  const action = deniedIn(words)?.action ?? question.action;
  return denialRemedy({ whose: 'its policy', side: sideOf(asker), action, resources: [keyArn], words });
}

/** Whether the role's own policies, or the key's, lack a statement that allows it. */
function isOwnLack(words: string): boolean {
  return (
    policyIn(words) === undefined || lacksIn(words, 'identity-based policy') || lacksIn(words, 'resource-based policy')
  );
}

function accountOf({ source: { partition } }: Request, account: string): { AWS: string } {
  return { AWS: `arn:${partition}:iam::${account}:root` };
}

/** All that reading under a key takes, so that the same statements mend what several findings tell. */
function listed(statements: readonly unknown[]): string {
  return statements.map((one) => JSON.stringify(one)).join(', ');
}
