import { type InputName, inputDefaults, inputNames, type Reader } from './reader.ts';

/* Which of all inputs each action takes. A test holds the manifests to it, and `npm run docs` writes them by it. */

export type ActionName = 'share' | 'sweep' | 'audit' | 'recall';

/** What an action besides the main one has to itself. */
const own: Readonly<Record<Exclude<ActionName, 'share'>, readonly InputName[]>> = {
  sweep: [],
  audit: ['fail-on'],
  recall: ['target-ami-ids', 'reason', 'how', 'replacement', 'include-source', 'restore'],
};

/** What decides whether a share may begin; an action that has no plan can't honour it. */
const ofPlan: readonly InputName[] = ['dry-run', 'expect-plan-digest', 'expect-plan-file'];

const others = new Set(Object.values(own).flat());

/** Of the main action's inputs, those that `sweep` reads. */
const readBySweep: readonly InputName[] = [
  ...(['source-region', 'source-role-arn', 'source-kms-key', 'source-key-access'] as const),
  ...([
    'target-accounts',
    'target-regions',
    'target-role-arn',
    'targets',
    'optional-targets',
    'exclude-targets',
  ] as const),
  ...(['credentials', 'role-chaining', 'external-id', 'role-session-name', 'role-session-tags'] as const),
  ...(['role-duration-seconds', 'oidc-audience', 'hub-kms-key', 'keep-intermediates'] as const),
  ...(['timeout-minutes', 'mask-aws-account-id'] as const),
];

/** Of the main action's inputs, those that `recall` reads. Its `ami-id` takes several, so its manifest says so itself. */
const readByRecall: readonly InputName[] = [
  ...(['ami-id', 'source-region', 'source-role-arn'] as const),
  ...(['target-accounts', 'target-regions', 'target-role-arn', 'targets', 'exclude-targets'] as const),
  ...(['credentials', 'role-chaining', 'external-id', 'role-session-name', 'role-session-tags'] as const),
  ...(['role-duration-seconds', 'oidc-audience', 'ssm-parameter', 'launch-template'] as const),
  ...(['timeout-minutes', 'mask-aws-account-id'] as const),
];

/** How a share goes about it, which says nothing of what there is to be. */
const ofDoing: readonly InputName[] = [
  ...([
    'source-kms-key',
    'source-key-access',
    'intermediate-tags',
    'on-existing',
    'retain',
    'retain-days',
    'retain-shared',
  ] as const),
  ...(['on-problem', 'fail-fast', 'key-preflight', 'topology', 'hub-kms-key', 'copy-duration-minutes'] as const),
  ...(['keep-intermediates', 'max-parallel', 'poll-interval'] as const),
  ...(['boot-test', 'boot-instance-type', 'boot-subnet', 'boot-security-group', 'boot-instance-profile'] as const),
  ...(['boot-timeout-minutes', 'boot-required'] as const),
  ...(['launch-template-source-version', 'promote'] as const),
  ...(['max-severity', 'scan-max-age-days', 'scan-required', 'scan-wait-minutes', 'fixable-only'] as const),
];

/** What makes an AMI, of which there is none to compare with before. */
const ofInstance: readonly InputName[] = ['instance-id', 'no-reboot'];

const ofShare = inputNames.filter((name) => !others.has(name));

/** Of the main action's inputs, those that say what there is to be. */
const readByAudit = ofShare.filter((name) => ![...ofDoing, ...ofPlan, ...ofInstance].includes(name));

/**
 * By action, the inputs that it `reads`, and those of the runs that it takes without need for them (`spare`), so that a
 * workflow can give all of its steps the same.
 */
export const actionInputs: Readonly<
  Record<ActionName, Readonly<{ reads: readonly InputName[]; spare: readonly InputName[] }>>
> = {
  share: { reads: ofShare, spare: [] },
  sweep: { reads: [...readBySweep, ...own.sweep], spare: spareOf([...readBySweep, ...ofPlan]) },
  recall: { reads: [...readByRecall, ...own.recall], spare: spareOf([...readByRecall, ...ofPlan]) },
  audit: { reads: [...readByAudit, ...own.audit], spare: spareOf([...readByAudit, ...ofPlan, ...ofInstance]) },
};

/** The main action's inputs but these. */
function spareOf(others: readonly InputName[]): InputName[] {
  return ofShare.filter((name) => !others.includes(name));
}

/** Notes the inputs that are given, and only other actions take: they would be without effect. */
export function noteOthers(reader: Reader, action: ActionName): void {
  const { reads, spare } = actionInputs[action];
  for (const name of inputNames) {
    const text = reader.raw(name).trim();
    if (text === '' || text === inputDefaults[name] || reads.includes(name) || spare.includes(name)) continue;
    const takers = Object.entries(actionInputs).flatMap(([taker, inputs]) =>
      inputs.reads.includes(name) ? [taker === 'share' ? 'the main action' : `the action ${taker}`] : [],
    );
    reader.note(name, text, `is an input of ${takers.join(' and ')}; ${action} does not take it`);
  }
}
