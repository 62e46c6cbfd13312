import type { Image, ImageCriterion } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import {
  type AmiScenario,
  amiIdOf,
  keyArnOf,
  type RegionScenario,
  type VolumeScenario,
} from '../simulator/scenario.ts';
import {
  type Case,
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { PolicyDocument, Settings } from '../simulator/world.ts';
import { admissionOf, criteriaWith } from '../src/aws/allowed-images.ts';
import { copiedFrom, expectTargets, expectUntouched, type Shared, share } from './shared-case.ts';

/*
 * Settings of an account and region that decide over the run: what is hidden, what is locked, what is encrypted by
 * default, how many copies may run.
 */

const messagesOf = ({ main }: Shared) => main.annotations.map(({ message }) => message).join('\n');

/** The case without an action in its roles' policies. */
function lacking(shared: Case, action: string): Case {
  const scenario = structuredClone(shared.scenario) as unknown as {
    accounts: Record<string, { roles?: Record<string, { policies: PolicyDocument[] }> }>;
  };
  let found = 0;
  for (const { roles = {} } of Object.values(scenario.accounts))
    for (const { policies } of Object.values(roles))
      for (const { Statement } of policies as { Statement: { Action: string | string[] }[] }[])
        for (const statement of Statement) {
          const actions = [statement.Action].flat();
          const kept = actions.filter((one) => one !== action);
          found += actions.length - kept.length;
          // A statement must have an action.
          statement.Action = kept.length > 0 ? kept : ['ec2:DescribeRegions'];
        }
  if (found === 0) throw new Error(`no policy allows ${action}`);
  return { ...shared, scenario: scenario as never };
}

describe('what the criteria of Allowed AMIs make of an image', () => {
  const now = new Date('2026-11-24T00:00:00Z');
  const image: Image = {
    OwnerId: sourceAccount,
    Name: 'golden-ami-7',
    CreationDate: '2026-11-14T00:00:00.000Z',
    ProductCodes: [
      { ProductCodeId: 'abcdefg1234567890', ProductCodeType: 'marketplace' },
      { ProductCodeId: 'devpay7', ProductCodeType: 'devpay' },
    ],
    ImageWatermarks: [
      {
        WatermarkKey: `${sourceAccount}:approved`,
        SourceImageRegion: 'us-east-1',
        SourceImageCreationTime: new Date('2026-11-01T00:00:00Z'),
        WatermarkCreationTime: new Date('2026-11-20T00:00:00Z'),
      },
      { WatermarkKey: `${sourceAccount}:tested`, SourceImageRegion: 'eu-west-1' },
    ],
  };
  const deprecated = { ...image, DeprecationTime: '2026-11-04T00:00:00.000Z' };
  const ours = { ImageProviders: ['amazon', sourceAccount] };
  const days = (MaximumDaysSinceCreated: number) => ({ CreationDateCondition: { MaximumDaysSinceCreated } });
  const since = (MaximumDaysSinceDeprecated: number) => ({ DeprecationTimeCondition: { MaximumDaysSinceDeprecated } });
  const marked = (...ImageWatermarks: NonNullable<ImageCriterion['ImageWatermarks']>) => ({ ImageWatermarks });

  test.each<[string, ImageCriterion[], 'allowed' | 'hidden' | 'unknown', Image?]>([
    ['its account', [ours], 'allowed'],
    ['others alone', [{ ImageProviders: ['amazon', targetAccount] }], 'hidden'],
    [
      'an alias',
      [{ ImageProviders: ['aws-backup-vault'] }],
      'allowed',
      { ...image, ImageOwnerAlias: 'aws-backup-vault' },
    ],
    ['nobody else', [{ ImageProviders: ['none'] }], 'hidden'],
    ['one of several names', [{ ImageNames: ['base-*', 'golden-ami-?'] }], 'allowed'],
    ['a name in another case', [{ ImageNames: ['Golden-*'] }], 'hidden'],
    ['a name whose dot is a dot', [{ ImageNames: ['golden.ami*'] }], 'hidden'],
    ['a product code', [{ MarketplaceProductCodes: ['abcdefg1234567890'] }], 'allowed'],
    ["a code that is no Marketplace's", [{ MarketplaceProductCodes: ['devpay7'] }], 'hidden'],
    ['an age that it has', [days(10)], 'allowed'],
    ['an age that it is beyond', [days(9)], 'hidden'],
    ['a deprecation that it has not', [since(0)], 'allowed'],
    ['a deprecation to come', [since(0)], 'allowed', { ...image, DeprecationTime: '2027-01-01T00:00:00.000Z' }],
    ['no deprecated one', [since(0)], 'hidden', deprecated],
    ['a deprecation not long ago', [since(20)], 'allowed', deprecated],
    ['a watermark', [marked({ WatermarkKey: 'x:y' }, { WatermarkKey: '*:approved' })], 'allowed'],
    ['a watermark of an age', [marked({ WatermarkKey: '*:approved', MaximumDaysSinceWatermarkCreated: 4 })], 'allowed'],
    ['a watermark too old', [marked({ WatermarkKey: '*', MaximumDaysSinceSourceImageCreated: 22 })], 'hidden'],
    ['two watermarks as if one', [marked({ WatermarkKey: '*:approved', SourceImageRegion: 'eu-*' })], 'hidden'],
    ['all conditions of a criterion', [{ ...ours, ImageNames: ['golden-*'], ...days(300) }], 'allowed'],
    ['all but one', [{ ...ours, ImageNames: ['golden-*'], ...days(3) }], 'hidden'],
    ['any criterion', [{ ImageProviders: ['amazon'] }, { ...ours, ...days(3) }, ours], 'allowed'],
    [
      'conditions over several criteria',
      [
        { ...ours, ...days(3) },
        { ImageProviders: ['amazon'], ...days(30) },
      ],
      'hidden',
    ],
    ['scans', [{ ...ours, ScanResultCondition: { MaximumSeverityLabel: 'medium' } }], 'unknown'],
    ['scans of others', [{ ImageProviders: ['amazon'], ScanResultCondition: {} }], 'hidden'],
    ['scans, or none', [{ ...ours, ScanResultCondition: {} }, ours], 'allowed'],
    ['what this action does not know', [{}], 'unknown'],
    ['nothing', [], 'unknown'],
  ])('%s', (_, criteria, verdict, one = image) => {
    expect(admissionOf(one, criteria, now)).toBe(verdict);
  });

  test('a criterion is added to those that are there, as far as AWS takes more', () => {
    expect(criteriaWith(sourceAccount, [{ ImageNames: ['a'] }])).toEqual([
      { ImageNames: ['a'] },
      { ImageProviders: [sourceAccount] },
    ]);
    expect(criteriaWith(sourceAccount, [{ ImageProviders: ['none'] }])).toEqual([{ ImageProviders: [sourceAccount] }]);
    expect(criteriaWith(sourceAccount, Array(10).fill({ ImageNames: ['a'] }))).toBeUndefined();
  });
});

describe('Allowed AMIs in a target', () => {
  const byCopy = (allowedImages: Settings['allowedImages']): Case =>
    standardCase({
      ami: { attributes: { Description: 'golden' } },
      policies: ['source-route-copy', 'target-route-copy'],
      target: { settings: { allowedImages } },
    });
  const inputs = { route: 'copy' };
  const criteria = [
    { ImageProviders: ['amazon'], DeprecationTimeCondition: { MaximumDaysSinceDeprecated: 0 } },
    { ImageProviders: [sourceAccount], ImageNames: ["golden's-*"] },
  ];

  test('the command of the message keeps the criteria that are there, and with it the run passes', async () => {
    const dry = await share(byCopy({ state: 'enabled', criteria }), { ...inputs, 'dry-run': 'true' });
    expect(dry.main.conclusion).toBe('failure');
    expectUntouched(dry);
    const command = /replace-image-criteria-in-allowed-images-settings --region eu-west-1 --image-criteria '(.+)'$/m;
    const [, json = ''] = command.exec(dry.error) ?? [];
    const completed = JSON.parse(json.replaceAll("'\\''", "'")) as ImageCriterion[];
    expect(completed).toEqual([...criteria, { ImageProviders: [sourceAccount] }]);
    const shared = byCopy({ state: 'enabled', criteria: completed });
    const mended = await share(shared, inputs);
    expect(mended.main).toMatchObject({ conclusion: 'success', annotations: [] });
    expectTargets(mended, shared.amiId);
  });

  test('what a declarative policy sets, the organization must change', async () => {
    const { error } = await share(byCopy({ state: 'enabled', criteria, managedBy: 'declarative-policy' }), inputs);
    expect(error).toMatch(/declarative policy changed[\s\S]*111111111111 among its allowed_image_providers/);
    expect(error).not.toContain('replace-image-criteria');
  });

  test.each<[string, Settings['allowedImages'], Record<string, string>]>([
    ['in audit mode, where nothing is hidden', { state: 'audit-mode', criteria }, inputs],
    ['on route register, whose AMIs are the own account’s', { state: 'enabled', criteria }, { route: 'register' }],
  ])('it is let be %s', async (_, allowedImages, given) => {
    const { main } = await share(byCopy(allowedImages), given);
    expect(main).toMatchObject({ conclusion: 'success', annotations: [] });
  });

  test('a scan that it asks for is warned of, and AWS decides', async () => {
    const scanned = [{ ImageProviders: [sourceAccount], ScanResultCondition: { MaxDaysSinceLastFindingScan: 7 } }];
    const result = await share(byCopy({ state: 'enabled', criteria: scanned }), inputs);
    expect(messagesOf(result)).toMatch(/whether its criteria allow the AMI .+ can't be told beforehand/);
    expect(result.error).toMatch(/CopyImage .*InvalidAMIID\.NotFound/);
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
  });

  test('that it may not be read is warned of with the statement that allows it, and the run goes on', async () => {
    const result = await share(lacking(byCopy({ state: 'disabled' }), 'ec2:GetAllowedImagesSettings'), inputs);
    expect(result.main.conclusion).toBe('success');
    expect(messagesOf(result)).toMatch(
      /is not allowed to call ec2:GetAllowedImagesSettings: whether Allowed AMIs lets .+ is not known\. What to do: where templates\/ made the role, set RouteCopy=true; else add to its policy: \{"Effect":"Allow","Action":"ec2:GetAllowedImagesSettings","Resource":"\*"\}/,
    );
  });

  test('in the source account, it hides an AMI of a third account', async () => {
    const theirs = '333333333333';
    const shared = procedure({
      source: { settings: { allowedImages: { state: 'enabled', providers: ['amazon'] } } },
    });
    const ami: AmiScenario = {
      name: 'theirs',
      launchPermissions: [sourceAccount],
      volumes: [{ device: '/dev/xvda', sharedWith: [sourceAccount] }],
    };
    const accounts = { ...shared.scenario.accounts, [theirs]: { regions: { [sourceRegion]: { amis: [ami] } } } };
    const id = amiIdOf(theirs, sourceRegion, 'theirs');
    const { error } = await share({ ...shared, scenario: { ...shared.scenario, accounts } }, { 'ami-id': id });
    expect(error).toMatch(
      new RegExp(
        `there is no ${id} that account ${sourceAccount} can see[^]+where Allowed AMIs is on, a criterion of it must allow`,
      ),
    );
  });
});

describe('an AMI to be replaced that AWS lets not go', () => {
  const { amiId } = procedure();
  const inputs = { 'on-existing': 'replace', 'target-ami-name': '{name}-{run-id}' };
  const old = amiIdOf(targetAccount, targetRegion, 'golden-old');
  const withOld = (ami: Partial<AmiScenario>, volume: Partial<VolumeScenario> = {}): Case =>
    procedure({
      target: {
        amis: [
          {
            name: 'golden-old',
            ...ami,
            tags: { 'share-encrypted-ami:source-ami': amiId, ...ami.tags },
            volumes: [
              {
                ...{ device: '/dev/xvda', key: 'cmkTarget', copied: copiedFrom(amiId) },
                ...{ tags: { 'share-encrypted-ami:source-ami': amiId }, ...volume },
              },
            ],
          },
        ],
      } satisfies RegionScenario,
    });

  test.each<[string, Case, RegExp]>([
    [
      'a snapshot locked in governance mode',
      withOld({}, { lock: 'governance' }),
      /its snapshot snap-\w+ is locked \(governance until 2036-11-01T00:00:00\.000Z\)\n.+unlock it: aws ec2 unlock-snapshot --region [a-z0-9-]+ --snapshot-id snap-\w+; or set on-existing to reuse/,
    ],
    [
      'one in the cooling-off period',
      withOld({}, { lock: 'compliance-cooloff' }),
      /is locked \(compliance-cooloff.+\n.+aws ec2 unlock-snapshot/,
    ],
    ['one in compliance mode', withOld({}, { lock: 'compliance' }), /is locked \(compliance .+\n.+wait until the lock/],
    [
      'protection from deregistration',
      withOld({ attributes: { DeregistrationProtection: 'enabled-without-cooldown' } }),
      /it is protected from deregistration \(enabled-without-cooldown\)\n.+take the protection off/,
    ],
    [
      'an AMI of AWS Backup',
      withOld({ tags: { 'aws:backup:source-resource': 'i-0123456789abcdef0:1' } }),
      /it is managed by AWS Backup.+\n.+delete its recovery point in the backup vault/,
    ],
  ])('%s is told before anything is changed', async (_, shared, says) => {
    const result = await share(shared, inputs);
    expect(result.main.conclusion).toBe('failure');
    expect(result.error).toContain(`${old} is to be replaced, but `);
    expect(result.error).toMatch(says);
    expectUntouched(result);
  });

  test('a lock that has expired is none', async () => {
    const result = await share(withOld({}, { lock: 'expired' }), inputs);
    expect(result.main).toMatchObject({ conclusion: 'success', annotations: [] });
    expectTargets(result, amiId);
  });

  test('locks that may not be read are warned of, and what is not locked is replaced', async () => {
    const result = await share(lacking(withOld({}), 'ec2:DescribeLockedSnapshots'), inputs);
    expect(result.main.conclusion).toBe('success');
    expect(messagesOf(result)).toMatch(
      /is not allowed to call ec2:DescribeLockedSnapshots: an AMI is deregistered even where .+"Action":"ec2:DescribeLockedSnapshots","Resource":"\*"/,
    );
    expectTargets(result, amiId);
  });

  test('locks are asked for only where something may go', async () => {
    const asked = ({ simulator }: Shared) =>
      simulator.calls.filter(({ action }) => action === 'DescribeLockedSnapshots');
    expect(asked(await share(procedure(), inputs))).toEqual([]);
    expect(asked(await share(withOld({}, { lock: 'governance' }), { 'dry-run': 'true' }))).toEqual([]);
  });
});

describe('a volume without a snapshot', () => {
  const blank = (encrypted: boolean, settings: Partial<Settings>, more: StandardOptions = {}): Case =>
    standardCase({
      volumes: [{ device: '/dev/xvda' }, { device: '/dev/sdb', blank: { encrypted } }],
      target: { settings },
      ...more,
    });
  const defaultKey = keyArnOf(targetAccount, targetRegion, 'cmkTarget');

  test.each<[string, Case, RegExp | undefined]>([
    ['encrypted, and the default key is the target’s', blank(true, { defaultKey }), undefined],
    [
      'encrypted by default, under the target’s key',
      blank(false, { defaultKey, encryptionByDefault: true }),
      undefined,
    ],
    ['encrypted under another key', blank(true, {}), /at launch it is encrypted under alias\/aws\/ebs/],
    [
      'not encrypted',
      blank(false, { defaultKey }),
      /encryption by default is off here: it is made unencrypted at launch/,
    ],
    [
      'encrypted, as far as may be known',
      lacking(blank(true, { defaultKey }), 'ec2:GetEbsDefaultKmsKeyId'),
      /is not allowed to call ec2:GetEbsDefaultKmsKeyId: which key .+"Action":"ec2:GetEbsDefaultKmsKeyId"/,
    ],
    [
      'encrypted by default, as far as may be known',
      lacking(blank(false, { defaultKey, encryptionByDefault: true }), 'ec2:GetEbsEncryptionByDefault'),
      /is not allowed to call ec2:GetEbsEncryptionByDefault: whether .+"Action":"ec2:GetEbsEncryptionByDefault"/,
    ],
  ])('%s', async (_, shared, says) => {
    const result = await share(shared, { 'dry-run': 'true' });
    expect(result.main.conclusion).toBe('success');
    if (says === undefined) expect(result.main.annotations).toEqual([]);
    else expect(messagesOf(result)).toMatch(says);
  });
});

test('a quota that is used up in the source account is told where snapshots are copied there one by one', async () => {
  const busy = { source: { othersCopies: { count: 20, seconds: 60 } } };
  const mixed = [
    { device: '/dev/xvda', key: 'cmkSource' },
    { device: '/dev/sdb', sizeGiB: 4 },
  ];
  const some = await share(standardCase({ ...busy, volumes: mixed }), { 'dry-run': 'true' });
  expect(messagesOf(some)).toMatch(/111111111111\/us-east-1: 20 snapshot copies are running here/);
  // CopyImage takes no slot.
  const whole = await share(standardCase(busy), { 'dry-run': 'true' });
  expect(whole.main).toMatchObject({ conclusion: 'success', annotations: [] });
});
