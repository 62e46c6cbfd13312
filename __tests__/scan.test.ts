import type { ImageFinding, ScanResults } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import type { AmiScenario } from '../simulator/scenario.ts';
import { type Case, customerKey, procedure } from '../simulator/scenarios/standard.ts';
import { openHouse, toldBy } from './house/house.ts';
import { runJob } from './in-process.ts';
import { expectTargets, expectUntouched, share } from './shared-case.ts';

/* The gate before anything is made of an AMI: what Amazon Inspector found in it. */

const day = 86_400_000;
const finding = (SeverityLabel: string, Score: number, more: object = {}): ImageFinding => ({
  ...{ SeverityLabel: SeverityLabel as 'high', Score, Title: `CVE-2026-${Score * 10} - openssl`, FixAvailable: false },
  ...more,
});
const results = (
  HighestFindingSeverityLabel?: ScanResults['HighestFindingSeverityLabel'],
  daysAgo = 1,
): ScanResults => ({
  ...(HighestFindingSeverityLabel && { HighestFindingSeverityLabel }),
  FindingScanDate: new Date(Date.now() - daysAgo * day),
});

function scanned(scan: AmiScenario['scan'], of = customerKey, policies = ['source-scan']): Case {
  return of({ ami: { ...(scan && { scan }) }, policies });
}

const findings = [
  ...[finding('medium', 5.1), finding('critical', 9.8, { FixAvailable: true }), finding('high', 7.2)],
  ...Array.from({ length: 12 }, (_, index) => finding('high', 8 + index / 100)),
];
const severe = { results: results('critical'), findings };

describe('the gate by a scan', () => {
  test('names the worst findings of those above the limit, and lets nothing be made', async () => {
    const result = await share(scanned(severe), { 'max-severity': 'medium' });
    expectUntouched(result);
    expect(result.error).toMatch(
      /ami-\w+ has findings above max-severity \(medium\), by its scan of 20\d\d-\S+ \S+ UTC: /,
    );
    expect(result.error).toMatch(
      /: 1 critical, 13 high\. The worst: critical 9\.8 CVE-2026-98 - openssl \(fix available\); high 8\.11/,
    );
    expect(result.error).toMatch(
      /; and 4 more\n\s+What to do: bake the AMI anew with the fixes, or raise max-severity/,
    );
    expect(result.error).not.toMatch(/medium 5\.1/);
  });

  test.each<[string, NonNullable<AmiScenario['scan']>, Record<string, string>]>([
    ['at the limit', { results: results('medium') }, { 'max-severity': 'medium' }],
    ['that found nothing', { results: results() }, { 'max-severity': 'none' }],
    ['young enough', { results: results('low', 6) }, { 'max-severity': 'low', 'scan-max-age-days': '7' }],
    [
      'whose findings can’t be fixed, where only those count',
      { results: results('high'), findings: [finding('high', 8), finding('low', 2, { FixAvailable: true })] },
      { 'max-severity': 'medium', 'fixable-only': 'true' },
    ],
    [
      'that comes in time',
      { results: results('low', 0), afterSeconds: 300 },
      { 'max-severity': 'low', 'scan-wait-minutes': '10' },
    ],
  ])('lets an AMI pass with a scan %s', async (_, scan, inputs) => {
    const shared = scanned(scan);
    const result = await share(shared, inputs);
    expect(result.main.annotations).toEqual([]);
    expectTargets(result, shared.amiId);
  });

  test.each<readonly [string, AmiScenario['scan'], Record<string, string>, RegExp]>([
    [
      'was not scanned',
      undefined,
      {},
      /has not been scanned by Amazon Inspector\n.*wait for it with scan-wait-minutes/,
    ],
    [
      'is scanned too late',
      { results: results(), afterSeconds: 900 },
      { 'scan-wait-minutes': '10' },
      /has not been scanned by Amazon Inspector\n.*and wait longer for it \(scan-wait-minutes: 10\)/,
    ],
    [
      'was scanned too long ago',
      { results: results('low', 9) },
      { 'scan-max-age-days': '7' },
      /was last scanned by Amazon Inspector at 20\d\d-\S+ \S+ UTC, longer ago than scan-max-age-days \(7\)/,
    ],
    // An element that says nothing: so the SDK reads <scanResults/>.
    ['has empty results', { results: {} }, {}, /has not been scanned by Amazon Inspector/],
    [
      'was scanned nobody knows when, where that counts',
      { results: { HighestFindingSeverityLabel: 'low' } },
      { 'scan-max-age-days': '7' },
      /when ami-\w+ was last scanned by Amazon Inspector is not known, and scan-max-age-days \(7\) is set/,
    ],
    [
      'has findings that AWS doesn’t list, where only those with a fix count',
      { results: results('critical'), findings: [finding('low', 2, { FixAvailable: true })] },
      { 'fixable-only': 'true' },
      /findings above max-severity \(medium\).*: the highest is critical, and AWS lists none/,
    ],
    [
      'has one that can be fixed',
      severe,
      { 'fixable-only': 'true' },
      /findings that can be fixed above max-severity \(medium\).*: 1 critical\. The worst/,
    ],
  ])('refuses an AMI that %s', async (...[, scan, inputs, words]) => {
    const result = await share(scanned(scan), { 'max-severity': 'medium', ...inputs });
    expect(result.error).toMatch(words);
    expectUntouched(result);
  });

  test('is not waited for where something else stands in the way', async () => {
    const shared = scanned({ results: results('low'), afterSeconds: 3000 });
    const inputs = { 'max-severity': 'low', 'scan-wait-minutes': '60', 'target-kms-key': 'alias/nowhere' };
    const { error, simulator } = await share(shared, inputs);
    expect(error).toMatch(/alias\/nowhere/);
    expect(simulator.calls.at(-1)?.at).toBeLessThan(60_000);
  });

  test('warns of one that was not scanned, where that is not required', async () => {
    const shared = scanned(undefined, procedure);
    const result = await share(shared, { 'max-severity': 'high', 'scan-required': 'false' });
    expect(result.main.annotations).toMatchObject([
      { level: 'warning', message: expect.stringMatching('has not been scanned') },
    ]);
    expectTargets(result, shared.amiId);
  });

  test('without the permission says that there are some, and where only some count, that it can’t tell', async () => {
    const shared = scanned(severe, customerKey, []);
    const told = await share(shared, { 'max-severity': 'high' });
    expect(told.error).toMatch(/above max-severity \(high\).*: the highest is critical/);
    const undecided = await share(shared, { 'max-severity': 'high', 'fixable-only': 'true' });
    expect(undecided.error).toMatch(
      /reading the findings of Amazon Inspector.*GetImageFindings.*where templates\/ made the role, set ScanGate=true/s,
    );
    expectUntouched(undecided);
  });

  const id = 'i-0123456789abcdef0';
  const volumes = [{ device: '/dev/xvda', sizeGiB: 8 }];
  const ofInstance = (scan?: AmiScenario['scan']) =>
    procedure({
      policies: ['source-instance', 'source-scan'],
      source: { instances: [{ id, volumes, ...(scan && { scan }) }] },
    });
  const instance = { 'ami-id': '', 'instance-id': id, 'max-severity': 'low' };

  test('waits for that of an AMI that it makes of an instance, and lets it pass', async () => {
    const shared = ofInstance({ results: results('low', 0), afterSeconds: 900 });
    const { main, simulator } = await share(shared, { ...instance, 'scan-wait-minutes': '30' });
    expect(main.annotations).toEqual([]);
    const amiId = main.outputs['source-ami-id'] ?? '';
    expect(main.log).toContain(`waiting up to 30 m for a scan of ${amiId}`);
    expect(simulator.calls.find(({ action, mutating }) => action === 'CopySnapshot' && mutating)?.at).toBeGreaterThan(
      900_000,
    );
  });

  test('of an AMI of an instance is read again by a re-run, which makes no other', async () => {
    await using house = await openHouse(ofInstance({ results: results('critical', 0), findings }));
    const { simulator } = house;
    const made = () => simulator.calls.filter(({ mutating, outcome }) => mutating && outcome === 'ok');
    const first = await runJob(house.run(instance));
    const amiId = first.main.outputs['source-ami-id'] ?? 'none';
    const why = `${amiId} has findings above max-severity \\(low\\), .*: 1 critical, 13 high, 1 medium`;
    expect(toldBy(first)).toMatch(new RegExp(`found after ${amiId} was made of the instance; it is kept.*${why}`, 's'));
    const again = await runJob(house.run(instance, { run_attempt: '2' }));
    expect(toldBy(again)).toMatch(new RegExp(`before anything was changed.*${why}`, 's'));
    expect(made().map(({ action }) => action)).toEqual(['CreateImage']);
    const fixed = await runJob(house.run({ ...instance, 'max-severity': 'high', 'fixable-only': 'true' }));
    expect(toldBy(fixed)).toMatch(/: 1 critical\. The worst: critical 9\.8/);
  });

  test('asks before it makes the AMI of an instance whether the findings may be read, where they decide', async () => {
    // Of an AMI that isn't there, AWS may say nothing of permissions.
    const shared = procedure({
      ...{ policies: ['source-instance'], rules: { order: 'authorization' } },
      source: { instances: [{ id, volumes }] },
    });
    const decides = await share(shared, { ...instance, 'fixable-only': 'true', 'scan-required': 'false' });
    expect(decides.error).toMatch(/ec2:GetImageFindings.*set ScanGate=true/s);
    expectUntouched(decides);
    const { main } = await share(shared, { ...instance, 'scan-required': 'false', 'dry-run': 'true' });
    const told = main.annotations.map(({ message }) => message).join('\n');
    expect([main.conclusion, told]).toEqual([
      'success',
      expect.stringMatching(/GetImageFindings.*it is not told what/s),
    ]);
  });

  test('judges the AMI of an instance once it is there, and it stays', async () => {
    const { simulator, main, error } = await share(ofInstance(), { ...instance, 'scan-wait-minutes': '5' });
    expect(error).toMatch(/ami-\w+ has not been scanned by Amazon Inspector/);
    expect(main.log).toMatch(/waiting up to 5 m for a scan of ami-/);
    const made = simulator.calls.filter(({ mutating, outcome }) => mutating && outcome === 'ok');
    expect(made.map(({ action }) => action)).toEqual(['CreateImage']);
  });
});
