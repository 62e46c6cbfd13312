import {
  CopyImageCommand,
  CreateTagsCommand,
  DeleteSnapshotCommand,
  DeleteTagsCommand,
  DeregisterImageCommand,
  DisableImageCommand,
  EC2Client,
  EnableFastSnapshotRestoresCommand,
  EnableImageDeprecationCommand,
  EnableImageDeregistrationProtectionCommand,
  GetConsoleOutputCommand,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
  ReplaceImageInstanceTypeSpecificationCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateGrantCommand, type GrantOperation, KMSClient } from '@aws-sdk/client-kms';
import { describe, expect, test } from '@jest/globals';
import { administrator } from '../simulator/iam.ts';
import { delegatingPolicy, keyArnOf } from '../simulator/scenario.ts';
import { publishedPolicy, workflowRole } from '../simulator/scenarios/common.ts';
import {
  type Case,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import { withStatements } from '../src/aws/key-policy.ts';
import { recalledTag, tagKeys } from '../src/tags.ts';
import { handlerOf, type Simulator, startSimulator } from './in-process.ts';
import { changed, inStatement, otherPolicies, permissions, statementsIn, statementsOf } from './policy-cases.ts';
import { share } from './shared-case.ts';

/*
 * What whoever has stolen a role with the published policies may not do: each limit holds, and it is the statements named
 * that hold it. docs/security.md has them as a table.
 */

const stranger = '333333333333';
const strangersRole = `arn:aws:iam::${stranger}:role/stranger`;
const recallRoleOf = (account: string) => `ami-recall-${account === sourceAccount ? 'source' : 'target'}`;
const roleOf = (account: string, name: string) => `arn:aws:iam::${account}:role/${name}`;
const sourceKey = keyArnOf(sourceAccount, sourceRegion, 'cmkSource');
const targetKey = keyArnOf(targetAccount, targetRegion, 'cmkTarget');
const hub = 'us-west-2';
const hubKey = keyArnOf(sourceAccount, hub, 'cmkSource');

/** An instance that the action has not launched. */
const theirInstance = 'i-0fedcba9876543210';

/** An AMI that the action has not made, with a usage report, and one that bears its tags. */
const volume = { device: '/dev/xvda', sizeGiB: 8 };
const ofOurs = { [tagKeys.sourceAmi]: 'ami-0a1b2c3d4e5f60718' };
const amis = [
  { name: 'theirs', volumes: [volume], usageReport: { hoursAgo: 24 } },
  { name: 'ours', tags: ofOurs, volumes: [{ ...volume, tags: ofOurs }] },
];

const openStatement = {
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${targetAccount}:root` },
  Action: ['kms:DescribeKey', 'kms:Decrypt', 'kms:ReEncryptFrom', 'kms:CreateGrant'],
  Resource: '*',
};

/**
 * The roles as they are published, with somebody else's AMIs beside them in each place.
 * @param statements what the source keys' policies have besides; they let much through unless it is named
 * @param roles more roles of the target account, or others in the place of the published ones
 */
function house(
  statements: readonly object[] = [openStatement],
  roles: Readonly<Record<string, readonly PolicyDocument[]>> = {},
): Case {
  const settings = { snapshotBlockPublicAccess: 'unblocked' as const };
  const shared = standardCase({
    hubs: [hub],
    policies: [
      ...['source-route-copy', 'source-instance', 'target-publish', 'target-instance-types', 'target-grant-key'],
      ...['target-route-copy', 'target-regional-hub', 'target-boot-test', 'target-retain-shared'],
    ],
    source: { amis, settings },
    target: { amis, instances: [{ id: theirInstance, volumes: [volume] }] },
  });
  const { Statement, ...rest } = delegatingPolicy(sourceAccount) as { Statement: object[] };
  const { accounts } = structuredClone(shared.scenario) as unknown as {
    accounts: Record<
      string,
      { roles: Record<string, object>; regions: Record<string, { keys: Record<string, object>; amis?: object[] }> }
    >;
  };
  const source = accounts[sourceAccount]?.regions;
  for (const region of Object.values(source ?? {}))
    region.keys.cmkSource = { policy: { ...rest, Statement: [...Statement, ...statements] } };
  if (source?.[hub] !== undefined) source[hub].amis = amis;
  const target = accounts[targetAccount]?.roles ?? {};
  for (const [account, file] of [
    [sourceAccount, 'source-recall'],
    [targetAccount, 'target-recall'],
  ] as const) {
    const values = { 'source-region': sourceRegion, 'source-account': account, 'target-account': account };
    const mine = accounts[account]?.roles ?? {};
    mine[recallRoleOf(account)] = workflowRole(account, [publishedPolicy(file, values)]);
  }
  for (const [name, policies] of Object.entries(roles)) target[name] = workflowRole(targetAccount, policies);
  accounts[stranger] = { roles: { stranger: workflowRole(stranger) }, regions: {} };
  return { ...shared, scenario: { ...shared.scenario, accounts: accounts as never } };
}

/** Somebody with the credentials of a role, in a place. */
type Thief = Readonly<{
  ec2: EC2Client;
  kms: KMSClient;
  /** The AMI of a name, with its snapshot. */
  ami: (name: string) => Readonly<{ ImageId: string; SnapshotId: string }>;
  /** The ID of a usage report. */
  reportId: () => string;
}>;

function thiefIn(simulator: Simulator, account: string, region: string): Thief {
  const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '', AWS_SESSION_TOKEN = '' } = simulator.env;
  const credentials = {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    sessionToken: AWS_SESSION_TOKEN,
  };
  const settings = { requestHandler: handlerOf(simulator), region, credentials, maxAttempts: 1 };
  const here = simulator.world.accounts[account]?.regions.get(region);
  return {
    ec2: new EC2Client(settings),
    kms: new KMSClient(settings),
    reportId: () => [...(here?.usageReports.keys() ?? [])][0] ?? '',
    ami: (name) => {
      const images = here?.images.values() ?? [];
      const image = [...images].find(({ data }) => data.Name === name)?.data;
      if (image === undefined) throw new Error(`no ${name}`);
      return { ImageId: image.ImageId, SnapshotId: image.BlockDeviceMappings[0]?.Ebs?.SnapshotId ?? '' };
    },
  };
}

type Attempt = (thief: Thief) => Promise<unknown>;

/** Who tries something where. */
type Try = Readonly<{ account: string; role: string; region: string; attempt: Attempt }>;

/** What AWS answers a role that tries something, where the case's policies are these. */
async function answer({ scenario }: Case, { account, role, region, attempt }: Try): Promise<string> {
  const simulator = await startSimulator({ ...scenario, ambient: { account, role } });
  try {
    await attempt(thiefIn(simulator, account, region));
    return 'done';
  } catch (error) {
    const { name, message } = error as Error;
    return `${name}: ${message}`;
  } finally {
    await simulator.close();
  }
}

const shareWith =
  (...Add: object[]): Attempt =>
  ({ ec2, ami }) =>
    ec2.send(
      new ModifySnapshotAttributeCommand({
        SnapshotId: ami('theirs').SnapshotId,
        Attribute: 'createVolumePermission',
        CreateVolumePermission: { Add },
      }),
    );
const grant =
  (KeyId: string, GranteePrincipal: string, ...Operations: GrantOperation[]): Attempt =>
  ({ kms }) =>
    kms.send(new CreateGrantCommand({ KeyId, GranteePrincipal, Operations }));
const mark: Attempt = ({ ec2, ami }) =>
  ec2.send(
    new CreateTagsCommand({
      Resources: [ami('theirs').ImageId],
      Tags: [{ Key: tagKeys.sourceAmi, Value: ami('theirs').ImageId }],
    }),
  );
const untag: Attempt = ({ ec2, ami }) => ec2.send(new DeleteTagsCommand({ Resources: [ami('theirs').ImageId] }));
const markRecalled =
  (name: string): Attempt =>
  ({ ec2, ami }) =>
    ec2.send(new CreateTagsCommand({ Resources: [ami(name).ImageId], Tags: [{ Key: recalledTag, Value: 'gone' }] }));
const disable: Attempt = ({ ec2, ami }) => ec2.send(new DisableImageCommand({ ImageId: ami('theirs').ImageId }));
const deregister: Attempt = ({ ec2, ami }) => ec2.send(new DeregisterImageCommand({ ImageId: ami('theirs').ImageId }));
/** Asked only: the AMI has the snapshot, so that nobody could delete it. */
const deleteSnapshot: Attempt = ({ ec2, ami }) =>
  ec2.send(new DeleteSnapshotCommand({ SnapshotId: ami('theirs').SnapshotId, DryRun: true }));
const letLaunch: Attempt = ({ ec2, ami }) =>
  ec2.send(
    new ModifyImageAttributeCommand({
      ImageId: ami('theirs').ImageId,
      LaunchPermission: { Add: [{ UserId: stranger }] },
    }),
  );

/**
 * What a role tries, and the statements that keep it from it, each as its file and Sid: a denial, or an allowance by its
 * condition. Were any one of them gone, it could.
 */
type Limit = Readonly<{ by: readonly string[]; attempt: Attempt; region?: string; without?: readonly string[] }>;

const own = roleOf(targetAccount, 'ami-target');
const ofRecall = ['target-recall TakeBackTheActionsImages'];
const ofTarget = ['target-role TouchNothingElse'];

const limits: Readonly<Record<string, Limit>> = {
  'share a snapshot with a stranger': {
    by: ['source-role ShareWithTheTargets', 'source-role TakeSharesBack'],
    attempt: shareWith({ UserId: stranger }),
  },
  'share a snapshot with a target and a stranger': {
    by: ['source-role ShareWithTheTargets', 'source-role TakeSharesBack'],
    attempt: shareWith({ UserId: targetAccount }, { UserId: stranger }),
  },
  'make a snapshot public': {
    by: ['source-role MakeNothingPublic'],
    attempt: shareWith({ UserId: targetAccount }, { Group: 'all' }),
  },
  'give a stranger the source key': {
    by: ['source-role GrantTheTargetRoles', 'source-role LetEc2UseTheSourceKey'],
    attempt: grant(sourceKey, strangersRole, 'Decrypt'),
  },
  'let a target encrypt under the source key': {
    by: ['source-role GrantTheTargetRoles', 'source-role LetEc2UseTheSourceKey'],
    attempt: grant(sourceKey, own, 'Decrypt', 'Encrypt'),
  },
  'mark an AMI of the source account as the action’s': {
    by: ['source-role TagWhatIsMade', 'source-role TagWhatIsShared', 'source-instance TagTheImage'],
    attempt: mark,
  },
  'take the tags off an AMI of the source account': { by: ['source-role TagWhatIsShared'], attempt: untag },
  'deregister an AMI of the source account': { by: ['source-role RemoveNothingElse'], attempt: deregister },
  'delete a snapshot of the source account': { by: ['source-role RemoveNothingElse'], attempt: deleteSnapshot },
  'share a snapshot with a stranger, in a hub': {
    by: ['source-regional-hub ShareFromTheHubs', 'source-regional-hub TakeSharesBackInTheHubs'],
    region: hub,
    attempt: shareWith({ UserId: stranger }),
  },
  'make a snapshot public, in a hub': {
    by: ['source-regional-hub MakeNothingPublicInTheHubs'],
    region: hub,
    attempt: shareWith({ UserId: targetAccount }, { Group: 'all' }),
  },
  'let others launch an AMI that is not the action’s, in a hub': {
    by: ['source-regional-hub ShareTheImagesOfTheHubs'],
    region: hub,
    attempt: letLaunch,
  },
  'mark an AMI as the action’s, in a hub': {
    by: ['source-regional-hub TagWhatIsMadeInTheHubs', 'source-regional-hub TagWhatIsSharedFromTheHubs'],
    region: hub,
    attempt: mark,
  },
  'give a stranger the key of a hub': {
    by: ['source-regional-hub GrantTheHubKeys', 'source-regional-hub LetEc2UseTheHubKeys'],
    region: hub,
    attempt: grant(hubKey, strangersRole, 'Decrypt'),
  },
  'grant itself the source key for good': {
    by: ['target-role LetEc2UseTheKeys'],
    region: sourceRegion,
    attempt: grant(sourceKey, own, 'Decrypt'),
  },
  'grant itself the target key for good': {
    by: ['target-role LetEc2UseTheKeys', 'target-grant-key GrantTheTargetKey'],
    attempt: grant(targetKey, own, 'Decrypt'),
  },
  'grant itself the key of a hub for good': {
    by: ['target-regional-hub LetEc2UseTheHubKeys'],
    region: hub,
    attempt: grant(hubKey, own, 'Decrypt'),
  },
  'mark an AMI of the target account as the action’s': {
    by: [
      ...['target-role TagWhatIsMade', 'target-role TagWhatIsBeingMade', 'target-role TagWhatIsPublished'],
      'target-boot-test TagWhatTheTestHasShown',
    ],
    without: ['TagTheCopies', 'MarkNothingElse'],
    attempt: mark,
  },
  'mark an AMI of the target account, by what route copy takes': {
    by: ['target-route-copy MarkNothingElse'],
    attempt: mark,
  },
  'take the tags off an AMI of the target account': { by: ['target-role TagWhatIsBeingMade'], attempt: untag },
  'deregister an AMI of the target account': { by: ofTarget, attempt: deregister },
  'delete a snapshot of the target account': { by: ofTarget, attempt: deleteSnapshot },
  'let others launch an AMI that is not the action’s': { by: ofTarget, attempt: letLaunch },
  'deprecate an AMI that is not the action’s': {
    by: ofTarget,
    attempt: ({ ec2, ami }) => {
      const DeprecateAt = new Date('2035-01-01T00:00:00Z');
      return ec2.send(new EnableImageDeprecationCommand({ ImageId: ami('theirs').ImageId, DeprecateAt }));
    },
  },
  'protect an AMI that is not the action’s': {
    by: ofTarget,
    attempt: ({ ec2, ami }) =>
      ec2.send(new EnableImageDeregistrationProtectionCommand({ ImageId: ami('theirs').ImageId })),
  },
  'pay for fast snapshot restore of a snapshot that is not the action’s': {
    by: ofTarget,
    attempt: ({ ec2, ami }) => {
      const [AvailabilityZones, SourceSnapshotIds] = [[`${targetRegion}a`], [ami('theirs').SnapshotId]];
      return ec2.send(new EnableFastSnapshotRestoresCommand({ AvailabilityZones, SourceSnapshotIds }));
    },
  },
  'change the instance types of an AMI that is not the action’s': {
    by: ofTarget,
    attempt: ({ ec2, ami }) =>
      ec2.send(new ReplaceImageInstanceTypeSpecificationCommand({ ImageId: ami('theirs').ImageId })),
  },
  'launch an AMI that is not the action’s': {
    by: ['target-boot-test LaunchNothingElse'],
    attempt: ({ ec2, ami }) =>
      ec2.send(
        new RunInstancesCommand({
          ...{ ImageId: ami('theirs').ImageId, InstanceType: 't3.small', MinCount: 1, MaxCount: 1, DryRun: true },
        }),
      ),
  },
  'end an instance that is not the action’s': {
    by: ['target-boot-test EndNothingElse'],
    attempt: ({ ec2 }) => ec2.send(new TerminateInstancesCommand({ InstanceIds: [theirInstance] })),
  },
  'read the console of an instance that is not the action’s': {
    by: ['target-boot-test EndNothingElse'],
    attempt: ({ ec2 }) => ec2.send(new GetConsoleOutputCommand({ InstanceId: theirInstance })),
  },
  'mark an instance as the action’s': {
    by: ['target-boot-test TagWhatIsLaunched'],
    without: ['MarkNothingElse'],
    attempt: ({ ec2, ami }) => {
      const Tags = [{ Key: tagKeys.sourceAmi, Value: ami('theirs').ImageId }];
      return ec2.send(new CreateTagsCommand({ Resources: [theirInstance], Tags }));
    },
  },
  'mark a usage report as the action’s': {
    by: ['target-retain-shared TagTheReport'],
    without: ['MarkNothingElse'],
    attempt: ({ ec2, ami, reportId }) => {
      const Tags = [{ Key: tagKeys.sourceAmi, Value: ami('theirs').ImageId }];
      return ec2.send(new CreateTagsCommand({ Resources: [reportId()], Tags }));
    },
  },
  'register an AMI of a snapshot that is not the action’s': {
    by: ['target-role RegisterNothingElse'],
    attempt: ({ ec2, ami }) =>
      ec2.send(
        new RegisterImageCommand({
          ...{ Name: 'stolen', Architecture: 'x86_64', VirtualizationType: 'hvm', RootDeviceName: '/dev/xvda' },
          BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: ami('theirs').SnapshotId } }],
        }),
      ),
  },
  'mark an AMI of the source account as the action’s, by a recall': {
    by: ['source-recall MarkTheSourceImage'],
    attempt: mark,
  },
  'take the tags off an AMI of the source account, by a recall': {
    by: ['source-recall MarkTheSourceImage'],
    attempt: untag,
  },
  'mark an AMI of the target account as the action’s, by a recall': {
    by: ['target-recall MarkTheActionsImages'],
    attempt: mark,
  },
  'mark an AMI that is not the action’s as recalled': {
    by: ['target-recall MarkTheActionsImages'],
    attempt: markRecalled('theirs'),
  },
  'take the tags off an AMI that is the action’s, by a recall': {
    by: ['target-recall MarkTheActionsImages'],
    attempt: ({ ec2, ami }) => ec2.send(new DeleteTagsCommand({ Resources: [ami('ours').ImageId] })),
  },
  'disable an AMI that is not the action’s': { by: ofRecall, attempt: disable },
  'deregister an AMI that is not the action’s, by a recall': { by: ofRecall, attempt: deregister },
  'delete a snapshot that is not the action’s, by a recall': { by: ofRecall, attempt: deleteSnapshot },
  'let others launch an AMI that is not the action’s, by a recall': { by: ofRecall, attempt: letLaunch },
};

/** The role that the limits are of. */
function thiefOf(by: readonly string[]): Pick<Try, 'account' | 'role' | 'region'> {
  const isSource = by.every((one) => one.startsWith('source-'));
  const account = isSource ? sourceAccount : targetAccount;
  const sharing = isSource ? 'ami-source' : 'ami-target';
  const role = by.every((one) => /^\w+-recall/.test(one)) ? recallRoleOf(account) : sharing;
  return { account, role, region: isSource ? sourceRegion : targetRegion };
}

describe('a stolen role may not', () => {
  test.each(Object.entries(limits))('%s', async (_, { by, attempt, region, without = [] }) => {
    const thief = { ...thiefOf(by), ...(region !== undefined && { region }), attempt };
    const published = changed(house(), (statement) => (without.includes(statement.Sid ?? '') ? undefined : statement));
    expect(await answer(published, thief)).toMatch(/^(UnauthorizedOperation|AccessDeniedException): /);
    for (const one of by) {
      const [file = '', sid = ''] = one.split(' ');
      const loosened = inStatement(file, sid, ({ Condition: _, ...statement }) =>
        statement.Effect === 'Deny' ? undefined : statement,
      );
      expect([one, await answer(changed(published, loosened), thief)]).toEqual([
        one,
        expect.stringMatching(/^(done$|DryRunOperation)/),
      ]);
    }
  });

  test('each denial and each condition of the roles’ policies is held so', () => {
    // No other call of the simulator's gives a role to another service.
    const held = new Set([...Object.values(limits).flatMap(({ by }) => by), 'target-boot-role LaunchWithTheProfile']);
    const limiting = [...permissions, ...otherPolicies].flatMap((file) =>
      statementsIn(file)
        .filter(({ Effect, Condition }) => Effect === 'Deny' || Condition !== undefined)
        .map(({ Sid }) => `${file} ${Sid}`),
    );
    expect([...held].sort()).toEqual(limiting.sort());
  });
});

describe('whoever may use the source key by its policy can’t give that use away', () => {
  const values = { 'target-role-arn': own };
  const statements: Readonly<Record<string, readonly object[]>> = {
    'the published statements': statementsOf(publishedPolicy('key-of-source-existing', values)),
    'a run’s statements': withStatements(
      { Statement: [] },
      { leaseId: 'a', partition: 'aws', accounts: [targetAccount] },
    ).Statement as readonly object[],
  };

  test.each(Object.entries(statements))('%s', async (_, published) => {
    const attempt = grant(sourceKey, own, 'Decrypt');
    const thief = { account: targetAccount, role: 'ami-target', region: sourceRegion, attempt };
    const roles = { 'ami-target': [administrator] };
    expect(await answer(house(published, roles), thief)).toMatch(
      /^AccessDeniedException: .*no resource-based policy allows the kms:CreateGrant action/,
    );
    const loose = published.map(({ Condition: _, ...statement }: { Condition?: unknown }) => statement);
    expect(await answer(house(loose, roles), thief)).toBe('done');
  });
});

describe('the tags are for the action’s roles alone', () => {
  const denial = publishedPolicy('deny-tags', {
    'source-role-arn': roleOf(sourceAccount, 'ami-source'),
    'target-role-arn': roleOf('*', 'ami-target'),
    'source-recall-role-arn': roleOf(sourceAccount, 'ami-recall-source'),
    'target-recall-role-arn': roleOf('*', 'ami-recall-target'),
  });

  /** What a role of the target account with everything allowed is answered, with the denial and without it. */
  async function answers(attempt: Attempt): Promise<string[]> {
    const said = [];
    for (const tagger of [[administrator, denial], [administrator]])
      said.push(
        await answer(house([], { tagger }), { account: targetAccount, role: 'tagger', region: targetRegion, attempt }),
      );
    return said;
  }

  const explicitly = expect.stringMatching(/^UnauthorizedOperation: .*CreateTags|DeleteTags.* explicit deny/);

  test.each<[string, Attempt]>([
    ['gives one', mark],
    [
      'gives an instance one',
      ({ ec2 }) =>
        ec2.send(new CreateTagsCommand({ Resources: [theirInstance], Tags: [{ Key: tagKeys.sourceAmi, Value: '' }] })),
    ],
    [
      'takes one off',
      ({ ec2, ami }) =>
        ec2.send(new DeleteTagsCommand({ Resources: [ami('ours').SnapshotId], Tags: [{ Key: tagKeys.sourceAmi }] })),
    ],
    ['takes all off', ({ ec2, ami }) => ec2.send(new DeleteTagsCommand({ Resources: [ami('ours').ImageId] }))],
    [
      'copies an AMI with them',
      ({ ec2, ami }) =>
        ec2.send(
          new CopyImageCommand({
            Name: 'another product',
            SourceImageId: ami('ours').ImageId,
            SourceRegion: targetRegion,
            CopyImageTags: true,
          }),
        ),
    ],
  ])('who %s is denied it', async (_, attempt) => {
    expect(await answers(attempt)).toEqual([explicitly, 'done']);
  });

  test.each<[string, Attempt]>([
    [
      'other tags',
      ({ ec2, ami }) =>
        ec2.send(new CreateTagsCommand({ Resources: [ami('ours').ImageId], Tags: [{ Key: 'team', Value: 'a' }] })),
    ],
    ['all tags of another AMI', untag],
    [
      'an AMI that is copied without them',
      ({ ec2, ami }) =>
        ec2.send(
          new CopyImageCommand({ Name: 'copy', SourceImageId: ami('ours').ImageId, SourceRegion: targetRegion }),
        ),
    ],
  ])('%s are left to everybody', async (_, attempt) => {
    expect(await answers(attempt)).toEqual(['done', 'done']);
  });

  test.each([sourceAccount, targetAccount])('the role for recalls in %s marks AMIs as before', async (account) => {
    const given = house();
    const { accounts } = structuredClone(given.scenario) as unknown as {
      accounts: Record<string, { roles: Record<string, { policies: PolicyDocument[] }> }>;
    };
    const role = recallRoleOf(account);
    accounts[account]?.roles[role]?.policies.push(denial);
    const region = account === sourceAccount ? sourceRegion : targetRegion;
    const by = { account, role, region, attempt: markRecalled('ours') };
    expect(await answer({ ...given, scenario: { ...given.scenario, accounts: accounts as never } }, by)).toBe('done');
  });

  test('the two roles that share run as before', async () => {
    const shared = standardCase();
    const { accounts } = structuredClone(shared.scenario) as unknown as {
      accounts: Record<string, { roles: Record<string, { policies: PolicyDocument[] }> }>;
    };
    for (const { roles } of Object.values(accounts))
      for (const role of Object.values(roles)) role.policies.push(denial);
    const { main, error } = await share({ ...shared, scenario: { ...shared.scenario, accounts: accounts as never } });
    expect([error, main.annotations]).toEqual(['', []]);
  });
});
