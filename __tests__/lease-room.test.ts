import { expect, test } from '@jest/globals';
import { amiIdOf } from '../simulator/scenario.ts';
import { leasesOf, takeLease } from '../src/lease.ts';
import { thisMachine } from '../src/machine.ts';
import { openAccount } from './account.ts';

test("where other runs' leases fill the AMI, a run says so once, and takes its lease when one of them has come free", async () => {
  const [account, region] = ['111111111111', 'us-east-1'];
  const amiId = amiIdOf(account, region, 'golden');
  const amis = [{ name: 'golden', volumes: [{ device: '/dev/xvda' }] }];
  await using there = await openAccount(account, { [region]: { amis } });
  const { data } = there.imageIn(region, amiId);
  const now = Math.floor(there.simulator.clock.now() / 1000);
  data.Tags = Array.from({ length: 50 }, (_, at) => ({
    Key: `share-encrypted-ami:lease:${String(at).padStart(12, '0')}`,
    // Half of them are of this run's former attempt.
    Value: `${now + 200} ${now - 200} ${at % 2 === 0 ? '1 1' : '4711 0'} - - -`,
  }));
  const refused = () => there.simulator.calls.filter(({ outcome }) => outcome === 'TagLimitExceeded').length;
  const end = there.simulator.onCall(() => {
    if (refused() < 2) return;
    data.Tags = data.Tags.slice(1);
    end();
  });
  const warnings: string[] = [];
  const lease = await takeLease({
    place: there.at(region),
    imageId: amiId,
    id: 'aaaaaaaaaaaa',
    run: { runId: '4711', runAttempt: 1 },
    targets: [],
    regions: [],
    setting: () => undefined,
    machine: thisMachine(),
    warn: (message) => warnings.push(message),
    beforeWrite: () => {},
  });
  await lease?.stop();
  expect(warnings).toEqual([expect.stringContaining('waiting for room')]);
  expect(refused()).toBe(2);
  expect(leasesOf(data.Tags).map(({ id }) => id)).toContain('aaaaaaaaaaaa');
});
