import { expect, test } from '@jest/globals';
import type { Fault } from '../simulator/faults.ts';
import { sourceAccount } from '../simulator/scenarios/standard.ts';
import { regionOf } from '../simulator/world.ts';
import { audit, published, standard } from './audited.ts';
import { runJob, startSimulator } from './in-process.ts';

/* What doesn't answer keeps nothing else from being found, and told: one target lacks its AMI, and something hangs. */

const other = '222222222222';
const lacking = `${other}/eu-west-1`;
const places = ['999999999999', other].flatMap((account) =>
  ['ap-southeast-2', 'eu-west-1', 'us-west-2'].map((region) => `${account}/${region}`),
);
const ofOther = places.filter((place) => place.startsWith(other));
const inTime =
  /not all was answered in time \(.*: no answer within \d.*\)\. What to do: see whether AWS has trouble there/;

async function estate() {
  const shared = standard();
  const simulator = await startSimulator(shared.scenario);
  const inputs = { ...shared.inputs, ...published, 'exclude-targets': lacking };
  const { main } = await runJob({ inputs, env: simulator.env });
  expect(main.conclusion).toBe('success');
  return { shared, simulator };
}

type Hang = Readonly<{
  what: string;
  fault: Omit<Fault, 'kind'>;
  inputs?: Record<string, string>;
  /** The targets that are unknown besides. */
  unknown: readonly string[];
}>;

const hangs: readonly Hang[] = [
  {
    what: 'EC2 in a target',
    fault: { service: 'ec2', account: other, region: 'us-west-2' },
    unknown: [`${other}/us-west-2`],
  },
  {
    what: 'KMS in a target',
    fault: { service: 'kms', account: other, region: 'us-west-2' },
    unknown: [`${other}/us-west-2`],
  },
  { what: 'STS for an account', fault: { service: 'sts', account: other }, unknown: ofOther },
];

test.each(hangs.flatMap((hang) => [hang, { ...hang, what: `${hang.what}, by lineage`, inputs: { 'ami-id': '' } }]))(
  'hangs: $what',
  async ({ fault, inputs = {}, unknown }) => {
    const { shared, simulator } = await estate();
    simulator.addFault({ kind: 'hang', ...fault });
    const { findings, outputs, seconds, summary } = await audit(shared, simulator, {
      'timeout-minutes': '5',
      ...inputs,
    });
    expect(seconds).toBeLessThan(300);
    const told = findings.map(({ kind, account, region }) => [`${account}/${region}`, kind]);
    const lost = unknown.includes(lacking) ? [] : [[lacking, 'missing']];
    expect(told.toSorted()).toEqual([...unknown.map((place) => [place, 'unknown']), ...lost].toSorted());
    // Of two looks, the first one waits longer.
    for (const { kind, why } of findings)
      if (kind === 'unknown')
        expect(why).toMatch(/not all was answered in time \(.*: no answer within (2 m 30|1 m 15) s\)/);
    expect(outputs).toMatchObject({ 'source-ami-id': expect.stringMatching(/^ami-/), 'in-step': 'false' });
    expect(summary).toContain(`${6 - told.length} of 6 targets in step`);
    await simulator.close();
  },
);

test.each(['ec2', 'sts'] as const)(
  'by lineage, a source account that hangs (%s) keeps what is missing',
  async (service) => {
    const { shared, simulator } = await estate();
    simulator.addFault({ kind: 'hang', account: sourceAccount, service });
    const { findings, outputs, seconds } = await audit(shared, simulator, { 'timeout-minutes': '5', 'ami-id': '' });
    expect(seconds).toBeLessThan(300);
    const told = findings.map(({ kind, account, region }) => [`${account}/${region}`, kind]);
    expect(told.toSorted()).toEqual(
      places.map((place) => [place, place === lacking ? 'missing' : 'unknown']).toSorted(),
    );
    expect(outputs['missing-targets']).toBe('[{"account":"222222222222","region":"eu-west-1"}]');
    await simulator.close();
  },
);

test('an account whose regions nobody tells is unknown, with target-regions: all', async () => {
  const { shared, simulator } = await estate();
  simulator.addFault({ kind: 'hang', account: other, action: 'DescribeRegions' });
  const inputs = { 'target-regions': 'all', 'timeout-minutes': '5' };
  const { findings, outputs, seconds } = await audit(shared, simulator, inputs);
  expect(seconds).toBeLessThan(300);
  expect(findings.filter(({ account }) => account === other)).toEqual([
    { kind: 'unknown', account: other, region: 'us-east-1', why: expect.stringMatching(inTime) },
  ]);
  expect(outputs['source-ami-id']).toMatch(/^ami-/);
  await simulator.close();
});

test('what could be read once is told, when it can not be read again', async () => {
  const { shared, simulator } = await estate();
  const missing = { kind: 'missing', account: other, region: 'eu-west-1' };
  // All of the target's first look is through by its last call; then its region goes silent.
  let isSilent = false;
  simulator.onCall(({ action, account, region }) => {
    if (isSilent || action !== 'DescribeInstances' || `${account}/${region}` !== lacking) return;
    isSilent = true;
    for (const place of [other, sourceAccount]) simulator.addFault({ kind: 'hang', service: 'ec2', account: place });
  });
  const { findings, annotations, outputs } = await audit(shared, simulator, { 'timeout-minutes': '5' });
  expect(findings.filter(({ kind }) => kind === 'missing')).toEqual([expect.objectContaining(missing)]);
  expect(annotations.map(({ message }) => message).join('\n')).toMatch(/could not be read again/);
  expect(outputs['source-ami-id']).toMatch(/^ami-/);
  expect(regionOf(simulator.world, other, 'eu-west-1').images.size).toBe(0);
  await simulator.close();
});
