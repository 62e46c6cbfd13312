import {
  type Case,
  customerKey,
  fanOut,
  mixedVolumes,
  procedure,
  sourceAccount,
  standardCase,
} from '../simulator/scenarios/standard.ts';
import type { Report, TargetRecord } from '../src/report/outputs.ts';

/* Runs that between them have every kind of summary: the tests look at their outputs, pictures/check.ts at the diagrams. */

const hubs = ['eu-west-1', 'us-west-2', 'ap-southeast-2'];
const copying = { policies: ['source-route-copy', 'target-route-copy'] };
const instance = { id: 'i-0123456789abcdef0', volumes: [{ device: '/dev/xvda' }] };
const ofInstance = procedure({ policies: ['source-instance'], source: { instances: [instance] } });
const publishing = { policies: ['target-publish', 'target-grant-key', 'target-ssm-parameter', 'target-retain'] };
/** A name, a case, and inputs besides the case's own. */
export const summaryCases: readonly [string, Case, Record<string, string>][] = [
  ['several targets', fanOut(), {}],
  ['a dry run', fanOut(), { 'dry-run': 'true' }],
  ['a dry run by hubs', fanOut({ hubs }), { 'dry-run': 'true', topology: 'regional-hub' }],
  ['route copy', procedure(copying), { route: 'copy' }],
  ['volumes of every kind', mixedVolumes(), {}],
  ['an AMI whose name has every sign', customerKey({ ami: { name: "a(b)[c] d./-'@_e" } }), {}],
  ['a dry run of such an AMI', customerKey({ ami: { name: "a(b)[c] d./-'@_e" } }), { 'dry-run': 'true' }],
  [
    'a target that fails',
    fanOut({ faults: [{ kind: 'copy-fails', region: 'us-west-2', action: 'CopySnapshot' }] }),
    {},
  ],
  ['problems', fanOut(), { 'target-kms-key': 'alias/{region}' }],
  [
    'publishing',
    procedure(publishing),
    {
      'ssm-parameter': '/golden/latest',
      lineage: 'golden',
      retain: '2',
      'deprecate-after': '9d',
      'fast-snapshot-restore': 'all',
    },
  ],
  ['a dry run of an instance', ofInstance, { 'dry-run': 'true', 'ami-id': '', 'instance-id': instance.id }],
  ['the source account itself', standardCase({ targets: [sourceAccount] }), {}],
];

const places = Array.from({ length: 1000 }, (_, index) => ({
  account: String(200_000_000_000 + Math.floor(index / 50)),
  region: `eu-west-${index % 50}`,
}));
const record = (index: number, failed: boolean): TargetRecord => ({
  ...(places[index] ?? { account: '', region: '' }),
  amiId: failed ? null : `ami-${String(index).padStart(17, '0')}`,
  amiName: 'golden-image-2026-11-23T02-30-00Z-of-a-rather-long-name-that-people-really-use',
  snapshotIds: [],
  kmsKeyArn: `arn:aws:kms:eu-west-1:200000000000:key/12345678-1234-1234-1234-${String(index).padStart(12, '0')}`,
  status: failed ? 'failed' : 'created',
  seconds: 3600 + index,
  ...(failed && { error: `Copying snap-1 to ${index}: ${'Given key ID is not accessible. '.repeat(40)}` }),
});
/** The report of a run of a thousand targets, the first of which fail. */
export const thousandTargets = (failing: number): Report => ({
  sourceAmiId: 'ami-00000001',
  plan: undefined,
  targets: places.map((_, index) => record(index, index < failing)),
  failures: [],
  cleanUp: { done: ['revoked 20 grants'], failed: [] },
  timeline: places.flatMap(({ account, region }, index) => [
    { place: `${account}/${region}`, step: 'copy', from: 1000, to: 3_600_000 + index * 1000 },
    { place: `${account}/${region}`, step: 'register', from: 3_600_000 + index * 1000, to: 3_601_000 + index * 1000 },
  ]),
  seconds: 4700,
});
