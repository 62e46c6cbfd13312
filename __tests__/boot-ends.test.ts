import { describe, expect, test } from '@jest/globals';
import { procedure, targetAccount, targetRegion } from '../simulator/scenarios/standard.ts';
import type { RecordedCall, Simulator } from '../simulator/simulator.ts';
import { type House, type Job, killAt, openHouse, toldBy } from './house/house.ts';
import { runAction, runJob, startAction } from './in-process.ts';

/* However a run ends in the middle of a boot test, nothing that it launched runs on, and no volume stays. */

const shared = () => procedure({ policies: ['target-boot-test'] });
const byStatus = { 'boot-test': 'status' };

const regionOf = ({ world }: Simulator) => {
  const region = world.accounts[targetAccount]?.regions.get(targetRegion);
  if (region === undefined) throw new Error('no target');
  return region;
};

/** Whether an instance is being looked at. */
const isWatching = (simulator: Simulator) => (call: RecordedCall) =>
  call.action === 'DescribeInstanceStatus' && launchedIn(simulator) > 0;

/** What was launched, and is not about to end. */
const runningIn = (simulator: Simulator): string[] =>
  [...regionOf(simulator).instances.values()].flatMap(({ launched, id, state }) =>
    launched !== undefined && state !== 'shutting-down' && state !== 'terminated' ? [id] : [],
  );
const launchedIn = (simulator: Simulator): number =>
  [...regionOf(simulator).instances.values()].filter(({ launched }) => launched !== undefined).length;

const told = (job: Job): string => toldBy(job).trim();

async function expectAllOver(house: House): Promise<void> {
  await house.settle(2);
  expect(house.remains()).toEqual([]);
  expect([...regionOf(house.simulator).volumes.keys()]).toEqual([]);
}

describe('a run that is cancelled in mid-boot', () => {
  test('ends its instance; the AMI is right, and stays for the next run', async () => {
    await using house = await openHouse(shared());
    const { simulator } = house;
    const running = startAction(house.run(byStatus));
    const forget = simulator.onCall(({ action }) => {
      if (action === 'DescribeInstanceStatus' && launchedIn(simulator) > 0) running.cancel();
    });
    const main = await running.result;
    forget();
    expect(main.conclusion).toBe('cancelled');
    expect(launchedIn(simulator)).toBe(1);
    expect(runningIn(simulator)).toEqual([]);
    const again = await runJob(house.run(byStatus, { run_attempt: '2' }));
    expect(again.main.annotations).toEqual([]);
    expect(launchedIn(simulator)).toBe(2);
    await expectAllOver(house);
  });
});

/** The calls of a run from the first of its boot test on, that can leave something. */
const moments = [
  ...['RunInstances', 'DescribeInstanceStatus', 'TerminateInstances', 'DescribeInstances', 'CreateTags'],
] as const;

describe('a run that is killed in its boot test', () => {
  test.each(moments)('after %s: post ends what it launched, or the next run does', async (action) => {
    for (const withPost of [true, false]) {
      await using house = await openHouse(shared());
      const { simulator } = house;
      const run = house.run(byStatus);
      let started = false;
      const { state, temp } = await killAt(house, run, (call) => {
        started ||= call.action === 'RunInstances' && call.mutating && call.outcome === 'ok';
        return started && call.action === action;
      });
      expect(launchedIn(simulator)).toBe(1);
      if (withPost) {
        const post = await runAction({ ...run, entry: 'post', state, temp });
        expect(post.annotations.map(({ message }) => message)).toEqual([]);
        expect(runningIn(simulator)).toEqual([]);
      }
      // By then, its lease has expired.
      await house.settle();
      const next = await runJob(house.run(byStatus, { run_id: '4712' }));
      expect([told(next), next.main.conclusion]).toEqual(['', 'success']);
      await expectAllOver(house);
    }
  });

  test('and whose AMI no run comes by: a sweep ends it', async () => {
    await using house = await openHouse(shared());
    await killAt(house, house.run(byStatus), isWatching(house.simulator));
    await house.settle();
    expect(runningIn(house.simulator)).toHaveLength(1);
    const swept = await runAction({ ...house.run(byStatus, { run_id: '4712' }), action: 'sweep' });
    expect([swept.conclusion, swept.annotations]).toEqual(['success', []]);
    expect(swept.stdout).toMatch(/ended i-0/);
    await expectAllOver(house);
  });

  test('an instance that only bears its tags is left alone', async () => {
    await using house = await openHouse(shared());
    const { simulator } = house;
    await killAt(house, house.run(byStatus), isWatching(simulator));
    const [ours] = runningIn(simulator);
    const { instances } = regionOf(simulator);
    const instance = instances.get(ours ?? '');
    if (instance?.launched === undefined) throw new Error('nothing was launched');
    const id = 'i-0fedcba9876543210';
    instances.set(id, { ...instance, id, launched: { ...instance.launched, token: 'somebody’s' } });
    await house.settle();
    const next = await runJob(house.run(byStatus, { run_id: '4712' }));
    expect(next.main.stdout).toContain(`${id} in ${targetAccount}/${targetRegion} is left alone`);
    expect(runningIn(simulator)).toEqual([id]);
  });
});

test('an instance that may not be ended is named, since it runs on, and hides nothing else', async () => {
  const denied = { kind: 'refusal', action: 'TerminateInstances', mutating: true, times: 10_000 } as const;
  const message =
    'You are not authorized to perform this operation. User: arn:aws:sts::999999999999:assumed-role/ami-target/run is not authorized to perform: ec2:TerminateInstances on resource: arn:aws:ec2:eu-west-1:999999999999:instance/i-0 because no identity-based policy allows the ec2:TerminateInstances action';
  const faults = [{ ...denied, code: 'UnauthorizedOperation', message }];
  await using house = await openHouse({ ...shared(), scenario: { ...shared().scenario, faults } });
  const job = await runJob(house.run(byStatus));
  const [id = ''] = runningIn(house.simulator);
  expect(id).not.toBe('');
  const where = `${targetAccount}/${targetRegion}`;
  expect(told(job)).toContain(
    `Ending the instance ${id} in ${where}, which may run on: TerminateInstances in ${where}`,
  );
  expect(told(job)).toMatch(
    /What to do: where templates\/ made the role, set BootTest=true; .*"ec2:TerminateInstances"/,
  );
  expect(told(job)).toContain(
    `or end it by hand: aws ec2 terminate-instances --region ${targetRegion} --instance-ids ${id}`,
  );
  expect(told(job)).not.toContain('half-made');
});

test('an answer that was lost, and a refusal that was none, leave one instance at a time', async () => {
  const lost = { kind: 'lost-response', action: 'RunInstances', mutating: true, nth: 1 } as const;
  await using first = await openHouse({ ...shared(), scenario: { ...shared().scenario, faults: [lost] } });
  expect(told(await runJob(first.run(byStatus)))).toBe('');
  expect(launchedIn(first.simulator)).toBe(1);
  await expectAllOver(first);
  const code = 'InsufficientInstanceCapacity';
  const body = `<Response><Errors><Error><Code>${code}</Code><Message>none</Message></Error></Errors></Response>`;
  const garbled = { kind: 'garbled', action: 'RunInstances', mutating: true, nth: 1, status: 500, body } as const;
  await using second = await openHouse({ ...shared(), scenario: { ...shared().scenario, faults: [garbled] } });
  let most = 0;
  second.simulator.onCall(() => {
    most = Math.max(most, runningIn(second.simulator).length);
  });
  expect(told(await runJob(second.run(byStatus)))).toBe('');
  expect([launchedIn(second.simulator), most]).toEqual([2, 1]);
  await expectAllOver(second);
});
