import { describe, expect, test } from '@jest/globals';
import { amiIdOf } from '../simulator/scenario.ts';
import {
  type Case,
  customerKey,
  mixedVolumes,
  procedure,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
} from '../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../simulator/simulator.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import { openedPolicy } from './policy-cases.ts';
import { expectTargets, expectUntouched, type Shared, share } from './shared-case.ts';

/*
 * What AWS is asked before the first write is what the run then does; what can't be asked without a resource is asked
 * as soon as there is one; and no answer but "would have succeeded" passes for a yes.
 */

type Statement = Readonly<Record<string, unknown>>;

/** The case with one statement more in the policies of the roles of an account. */
function withStatement(shared: Case, account: string, statement: Statement): Case {
  const scenario = structuredClone(shared.scenario) as unknown as {
    accounts: Record<string, { roles: Record<string, { policies: PolicyDocument[] }> }>;
  };
  for (const { policies } of Object.values(scenario.accounts[account]?.roles ?? {}))
    policies.push({ Version: '2012-10-17', Statement: [statement] } as never);
  return { ...shared, scenario: scenario as never };
}

const messagesOf = ({ main }: Shared) => main.annotations.map(({ message }) => message).join('\n');
const unaskedIn = ({ main }: Shared): string[] => JSON.parse(main.outputs.plan ?? '{}').unasked;

/** A request but for the IDs that it names, and for what a dry run has besides. */
function shapeOf({ action, request }: RecordedCall): string {
  const { DryRun: _, ClientToken: __, PresignedUrl: ___, ...rest } = request;
  return `${action} ${JSON.stringify(rest).replace(/\b(ami|snap)-[0-9a-f]+/g, '$1')}`;
}

/** What runs ask for in other words than they do it: several at once, or as somebody else's reads tell. */
const asked = /^(CopySnapshot|CopyImage|RegisterImage|DeregisterImage|DeleteSnapshot|Enable\w+|ReplaceImage\w+) /;

describe('the question is the very call that follows, as a dry run', () => {
  test.each<[string, Case, Record<string, string>]>([
    ['encrypted first', procedure(), {}],
    ['a customer managed key', customerKey(), {}],
    ['several volumes', mixedVolumes(), { 'copy-duration-minutes': '45', tags: 'cost-center=42' }],
    [
      'route copy, published',
      procedure({
        ami: { attributes: { Description: 'golden' } },
        policies: ['source-route-copy', 'target-route-copy', 'target-publish'],
        targetKey: { policy: openedPolicy(targetAccount, '222222222222') },
      }),
      {
        ...{ route: 'copy', tags: 'cost-center=42', 'deprecate-after': '30d' },
        ...{ 'deregistration-protection': 'on', 'fast-snapshot-restore': 'all', 'launch-permissions': '222222222222' },
      },
    ],
  ])('%s', async (_, shared, inputs) => {
    const { main, simulator } = await share(shared, inputs);
    expect(main).toMatchObject({ conclusion: 'success', annotations: [] });
    const dry = new Set(simulator.calls.filter(({ request }) => request.DryRun === true).map(shapeOf));
    const done = simulator.calls.filter(({ mutating, request }) => mutating && request.DryRun !== true);
    const shapes = [...new Set(done.map(shapeOf))].filter((shape) => asked.test(shape));
    expect(shapes.length).toBeGreaterThanOrEqual(2);
    expect(shapes.filter((shape) => !dry.has(shape))).toEqual([]);
  });

  test('an organization that demands a tag is asked with that tag', async () => {
    const shared = withStatement(procedure(), targetAccount, {
      ...{ Effect: 'Deny', Action: 'ec2:CreateTags', Resource: '*' },
      Condition: { Null: { 'aws:RequestTag/cost-center': 'true', 'ec2:CreateAction': 'false' } },
    });
    const without = await share(shared);
    expect(without.error).toMatch(
      /role\/ami-target is not allowed to call ec2:CreateTags\n.+a statement in its policy denies ec2:CreateTags/,
    );
    expectUntouched(without);
    const result = await share(shared, { tags: 'cost-center=42' });
    expect(messagesOf(result)).toBe('');
    expectTargets(result, shared.amiId);
  });
});

describe('as soon as there is a copy, what could be asked only with another ID is asked again', () => {
  const byTag = { 'aws:ResourceTag/share-encrypted-ami:source-ami': 'false' };
  const hours = { timings: { secondsPerGiB: 900 } };

  test('a denial that stands ends the targets of the role within minutes, with its remedy', async () => {
    const shared = withStatement(customerKey(hours), targetAccount, {
      ...{ Effect: 'Deny', Action: 'ec2:RegisterImage', Resource: 'arn:aws:ec2:*::snapshot/*' },
      Condition: { Null: byTag },
    });
    const result = await share(shared);
    expect(result.error).toMatch(
      /Asking with snap-\w+ in 999999999999\/eu-west-1 .+role\/ami-target is not allowed to call ec2:RegisterImage.+What to do: take the statement that denies ec2:RegisterImage out of its policy/,
    );
    expect(result.targets[0]?.status).toBe('failed');
    const { calls } = result.simulator;
    expect((calls.at(-1)?.at ?? 0) - (calls[0]?.at ?? 0)).toBeLessThan(600_000);
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
    expect(result.simulator.calls.filter(({ action, mutating }) => mutating && action === 'RegisterImage')).toEqual([]);
  });

  test('an encrypted copy that could not be removed again ends the run before anything is copied', async () => {
    const shared = withStatement(procedure(hours), sourceAccount, {
      ...{ Effect: 'Deny', Action: 'ec2:DeregisterImage', Resource: 'arn:aws:ec2:*::image/*' },
      Condition: { Null: byTag },
    });
    const { error, simulator } = await share(shared);
    expect(error).toMatch(
      /Asking with ami-\w+ in 111111111111\/us-east-1 .+is not allowed to call ec2:DeregisterImage/,
    );
    expect(simulator.calls.filter(({ action, mutating }) => mutating && action === 'CopySnapshot')).toEqual([]);
  });

  test('one that passes, since tags are seen late, ends nothing', async () => {
    const denied = { kind: 'refusal', action: 'RegisterImage', nth: 2, times: 3 } as const;
    const words = { code: 'UnauthorizedOperation', status: 403, message: 'You are not authorized.' };
    const shared = customerKey({ ...hours, faults: [{ ...denied, ...words }] });
    const result = await share(shared);
    expect(messagesOf(result)).toBe('');
    expectTargets(result, shared.amiId);
  });
});

describe('what is no yes', () => {
  test('a resource that is not there, or an ID that is malformed, tells nothing: so the plan says', async () => {
    const code = { code: 'InvalidAMIID.Malformed', message: 'Invalid id: "ami-0ffffffffffffffff"' };
    const malformed = {
      kind: 'refusal',
      action: 'DeregisterImage',
      account: targetAccount,
      times: 1,
      ...code,
    } as const;
    const result = await share(procedure({ faults: [malformed], rules: { order: 'authorization' } }), {
      'dry-run': 'true',
    });
    expect(result.main).toMatchObject({ conclusion: 'success', annotations: [] });
    const told = unaskedIn(result).filter((one) => one.startsWith(`${targetAccount}/`));
    expect(told).toEqual([expect.stringMatching(/ec2:DeleteSnapshot, ec2:DeregisterImage could not be asked/)]);
    expect(result.main.stdout).toContain(told[0]);
  });

  test('an odd answer about what is there is warned of, in its words', async () => {
    const odd = { kind: 'refusal', action: 'CopySnapshot', nth: 1, code: 'OddError', message: 'Odd.' } as const;
    const shared = customerKey({ faults: [odd] });
    const result = await share(shared);
    expect(result.main.conclusion).toBe('success');
    expect(messagesOf(result)).toMatch(
      /^999999999999\/eu-west-1: whether arn:\S+ami-target may call ec2:CopySnapshot could not be asked \(OddError: Odd\.\)$/,
    );
    expectTargets(result, shared.amiId);
  });
});

test('a snapshot that is not shared is told together with all else that was found', async () => {
  const theirs = '333333333333';
  const ami = { name: 'theirs', launchPermissions: [sourceAccount], volumes: [{ device: '/dev/xvda' }] };
  const shared = standardCase({ policies: ['target-publish'] });
  const accounts = { ...shared.scenario.accounts, [theirs]: { regions: { [sourceRegion]: { amis: [ami] } } } };
  const id = amiIdOf(theirs, sourceRegion, 'theirs');
  const inputs = { 'ami-id': id, 'source-owners': theirs, 'fast-snapshot-restore': 'eu-west-1x' };
  const result = await share({ ...shared, scenario: { ...shared.scenario, accounts } as never }, inputs);
  expect(result.error).toMatch(/snap-\w+ of ami-\w+ is not there, or not shared with account 111111111111/);
  expect(result.error).toMatch(/no availability zone eu-west-1x/);
  expect(result.error).not.toMatch(/there is no copy of/);
  expectUntouched(result);
});
