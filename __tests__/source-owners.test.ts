import { describe, expect, test } from '@jest/globals';
import { type AmiScenario, amiIdOf } from '../simulator/scenario.ts';
import { type Case, sourceAccount, sourceRegion, standardCase } from '../simulator/scenarios/standard.ts';
import { expectUntouched, share } from './shared-case.ts';

/* Whose AMI is shared: the source account's, or that of an owner whom the user names. */

const publisher = '137112412989';
const stranger = '333333333333';

const ami = (name: string, day: number, more: Partial<AmiScenario> = {}): AmiScenario => ({
  name,
  volumes: [{ device: '/dev/xvda', sizeGiB: 8, sharedWith: [sourceAccount] }],
  ...more,
  attributes: { CreationDate: `2026-11-${day}T00:00:00.000Z`, ...more.attributes },
});
const published = ami('golden-published', 20, { attributes: { Public: true, ImageOwnerAlias: 'amazon' } });
const shared = ami('golden-shared', 21, { launchPermissions: [sourceAccount] });
const ids = {
  published: amiIdOf(publisher, sourceRegion, published.name),
  shared: amiIdOf(stranger, sourceRegion, shared.name),
};

/** A source account with an AMI of its own, which is older than a public one and one that a third account shares with it. */
function caseOf(parameter = ''): Case {
  const own = standardCase({
    ami: { name: 'golden-own', attributes: { CreationDate: '2026-11-10T00:00:00.000Z' } },
    policies: ['source-ssm-parameter'],
    source: { parameters: { '/golden/latest': parameter } },
  });
  const accounts = {
    ...own.scenario.accounts,
    [publisher]: { regions: { [sourceRegion]: { amis: [published] } } },
    [stranger]: { regions: { [sourceRegion]: { amis: [shared] } } },
  };
  return { ...own, scenario: { ...own.scenario, accounts } };
}

const owners = (list: string) => ({ 'source-owners': list });
const dryRun = { 'dry-run': 'true', 'ami-id': '' };

describe("another owner's AMI is a problem that names the owner and what allows it", () => {
  test.each<Readonly<{ what: string; which: keyof typeof ids; inputs: Record<string, string>; problem: RegExp }>>([
    {
      what: 'a public one by its ID',
      which: 'published',
      inputs: { 'ami-id': ids.published },
      problem:
        /belongs to account 137112412989, alias amazon, and is public; source-owners allows self\n.*: self, 137112412989$/,
    },
    {
      what: 'a shared one by its ID',
      which: 'shared',
      inputs: { 'ami-id': ids.shared },
      problem: /belongs to account 333333333333, and is not public; source-owners allows self\n.*: self, 333333333333$/,
    },
    {
      what: 'one by an SSM parameter',
      which: 'published',
      inputs: { 'ami-ssm-parameter': '/golden/latest', ...owners('aws-marketplace, 444444444444') },
      problem: /source-owners allows aws-marketplace, 444444444444\n.*: aws-marketplace, 444444444444, 137112412989$/,
    },
  ])('$what', async ({ which, inputs, problem }) => {
    const result = await share(caseOf(ids[which]), { ...dryRun, ...inputs });
    expect(result.error).toMatch(problem);
    expectUntouched(result);
    const value = /set source-owners to: (.*)$/.exec(result.error)?.[1] ?? '';
    const allowed = await share(caseOf(ids[which]), { ...dryRun, ...inputs, ...owners(value) });
    expect([allowed.error, allowed.main.outputs['source-ami-id']]).toEqual(['', ids[which]]);
  });

  test('the account itself, where only others were asked for', async () => {
    const { error } = await share(caseOf(), { ...dryRun, 'ami-id': caseOf().amiId, ...owners('amazon') });
    expect(error).toMatch(new RegExp(`belongs to account ${sourceAccount}, .*\\n.*: amazon, ${sourceAccount}$`));
  });
});

test.each([
  ['self', caseOf().amiId],
  [sourceAccount, caseOf().amiId],
  ['amazon', ids.published],
  [`self\n${publisher}`, ids.published],
  [`self, amazon, ${stranger}`, ids.shared],
])('a name is looked up among %j, and the newest of theirs is taken', async (list, id) => {
  const { main, error } = await share(caseOf(), { ...dryRun, 'ami-name': 'golden-*', ...owners(list) });
  expect([error, main.outputs['source-ami-id']]).toEqual(['', id]);
});

test('a name that only others have is a problem that names theirs', async () => {
  const { error } = await share(caseOf(), { ...dryRun, 'ami-name': 'golden-shared*' });
  expect(error).toMatch(
    /no available AMI of source-owners \(self\) is named "golden-shared\*"; found: ami-\w+ \(golden-shared, available, of account 333333333333\)/,
  );
});

test("another's AMI is shared by an encrypted copy, where it is asked for", async () => {
  const { error, targets } = await share(caseOf(), { 'ami-id': ids.published, ...owners('amazon') });
  expect(error).toBe('');
  expect(targets).toMatchObject([{ status: 'created', amiName: published.name }]);
});

describe('a shared AMI whose snapshots cannot all be read is told as such, with everything else that was found', () => {
  const volume = (device: string, sharedWith: readonly string[] = []) => ({ device, sizeGiB: 8, sharedWith });
  const theirs = (volumes: AmiScenario['volumes'], more: Partial<AmiScenario> = {}): Case => {
    const ami = { name: 'theirs', volumes, launchPermissions: [sourceAccount], ...more };
    const own = standardCase();
    const accounts = { ...own.scenario.accounts, [stranger]: { regions: { [sourceRegion]: { amis: [ami] } } } };
    const inputs = { 'ami-id': amiIdOf(stranger, sourceRegion, ami.name), ...owners(stranger) };
    return { ...own, inputs: { ...own.inputs, ...inputs }, scenario: { ...own.scenario, accounts } };
  };

  test.each<readonly [string, AmiScenario['volumes'], Record<string, string>]>([
    ['by launch permission only', [volume('/dev/xvda')], {}],
    ['by launch permission only, with a bad key', [volume('/dev/xvda')], { 'target-kms-key': 'alias/none' }],
    ['except for one snapshot', [volume('/dev/xvda', [sourceAccount]), volume('/dev/sdb')], {}],
    ['by launch permission only, route copy', [volume('/dev/xvda')], { route: 'copy' }],
    ['by launch permission only, route register', [volume('/dev/xvda')], { route: 'register' }],
  ])('%s', async (_, volumes, inputs) => {
    const result = await share(theirs(volumes), inputs);
    expect(result.error).toMatch(/snap-\w+ of ami-\w+ is not there, or not shared with account 111111111111/);
    expect(result.error).toMatch(/have its owner share it with account 111111111111/);
    for (const bad of Object.values(inputs).filter((value) => value.startsWith('alias')))
      expect(result.error).toContain(bad);
    expect(result.error).not.toMatch(/there is no copy|undefined|TypeError/);
    expectUntouched(result);
  });
});
