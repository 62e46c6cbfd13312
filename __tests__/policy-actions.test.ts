import { describe, expect, test } from '@jest/globals';
import { settingsOf } from '../simulator/hardness.ts';
import { caseOf, changed, featureOf, inStatement, permissions, statementsIn } from './policy-cases.ts';
import { sampled } from './sampled.ts';
import { expectUntouched, share } from './shared-case.ts';

/*
 * No action of the published policies is too many: without it a case fails, and preflight names it. Where existence comes
 * before permission, what is asked about a resource that isn't there yet stays open, and the run names it.
 */

const { order } = settingsOf({}).rules;

/** No call can tell these beforehand without doing what they allow: the run's own error names them. */
const foundLater = new Set([
  'ChangeTheKeyPolicy kms:PutKeyPolicy',
  'SetTheParameter ssm:PutParameter',
  'SetTheParameter ssm:AddTagsToResource',
  // Systems Manager knows no dry runs, and EC2 looks at the role of a profile once it has found the AMI.
  'SeeWhereAndWhetherItBoots ssm:DescribeInstanceInformation',
  'LaunchWithTheProfile iam:PassRole',
  // EC2 asks in the role's name.
  'LetEc2UseTheSourceKey kms:CreateGrant',
  'LetEc2UseTheHubKeys kms:CreateGrant',
  'LetEc2UseTheKeys kms:CreateGrant',
  // There may be nothing in the Recycle Bin to ask with.
  'RestoreFromTheRecycleBin ec2:RestoreImageFromRecycleBin',
  // The encrypted copy isn't there yet.
  'ShareTheImagesOfTheHubs ec2:ModifyImageAttribute',
]);
/** A case fails without these only where something has to be taken back that this case doesn't leave. */
const forCleaningUp = new Set([
  'UseTheSourceKey kms:ListGrants',
  'UseTheHubKeys kms:ListGrants',
  'SetTheParameter ssm:DeleteParameter',
  'MakeVersions ec2:DeleteLaunchTemplateVersions',
  'RestoreFromTheRecycleBin ec2:RestoreImageFromRecycleBin',
  'CopyAndRegister ec2:DeleteSnapshot',
  'CopyAndRegister ec2:DeregisterImage',
  'TagWhatIsSharedFromTheHubs ec2:DeleteTags',
]);
/** Without these, what is asked beforehand is denied; these cases do nothing that takes them. */
const forAsking = new Set([
  ...['AskWhetherToShare ec2:ModifyImageAttribute', 'TagWhatIsBeingMade ec2:CreateTags'],
  ...['LaunchAndEnd ec2:GetConsoleOutput', 'LaunchAndEnd ec2:GetConsoleScreenshot'],
]);
/** Shares go with the encrypted copy; where that is kept, they must be taken back. */
const kept = new Set(['TakeSharesBack', 'TakeSharesBackInTheHubs']);

describe('with one action less, preflight names it, and the case fails', () => {
  const removals = permissions.flatMap((file) =>
    statementsIn(file)
      .filter(({ Effect }) => Effect === 'Allow')
      .flatMap(({ Sid = '', Action }) => [Action].flat().map((action) => [file, action, Sid] as const)),
  );

  test.each(sampled(removals, { first: 1 }))('%s without %s (%s)', async (file, action, sid) => {
    const without = inStatement(file, sid, (statement) => {
      const kept = [statement.Action].flat().filter((one) => one !== action);
      return kept.length === 0 ? undefined : { ...statement, Action: kept };
    });
    const shared = changed(caseOf(featureOf(file, action, sid)), without);
    const dry = await share(shared, { 'dry-run': 'true' });
    expectUntouched(dry);
    const told = dry.main.annotations.map(({ message }) => message).join('\n');
    const name = `${sid} ${action}`;
    const asked = !foundLater.has(name) && !kept.has(sid) && name !== 'SetTheParameter ssm:DeleteParameter';
    if (asked && order === 'authorization') expect(told).toContain(action);
    // What stops the dry run stops the run; a warning may turn out to have been right.
    if (dry.main.conclusion === 'failure' || forCleaningUp.has(name)) return;
    if (order === 'existence' && forAsking.has(name)) return;
    const real = await share(shared, { 'keep-intermediates': String(kept.has(sid)) });
    const said = real.main.annotations.map(({ message }) => message).join('\n');
    expect(said).not.toBe('');
    if (!told.includes(action)) expect(said).toContain(action);
  });
});
