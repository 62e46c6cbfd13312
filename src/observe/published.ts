import {
  DescribeFastSnapshotRestoresCommand,
  type Image,
  type LaunchPermission,
  type Snapshot,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { describeSnapshots, ownImages, ownSnapshots, pages } from '../aws/describe.ts';
import { hasCode } from '../aws/errors.ts';
import { listGrants } from '../aws/kms.ts';
import { readTemplate } from '../aws/launch-template.ts';
import { launchPermissionsOf } from '../aws/shares.ts';
import { snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import type { PublishedFacts } from '../plan/facts.ts';
import { tagKeys } from '../tags.ts';

/* What an audit reads of a target beside its AMI. */

/** What is looked at only if it was asked for: the key whose grants count, the SSM parameter, the launch template. */
export type Looked = Readonly<{
  grantsOn: string | undefined;
  parameter: string | undefined;
  template: string | undefined;
}>;

/** Reads how an AMI is published. @throws AwsCallError where any of it can't be read */
export async function readPublished(place: Place, image: Image, looked: Looked): Promise<PublishedFacts> {
  const [launchPermissions, fastZones, grants, parameter, template] = await joined<
    [
      LaunchPermission[],
      PublishedFacts['fastZones'],
      PublishedFacts['grants'],
      string | undefined,
      PublishedFacts['template'],
    ]
  >([
    launchPermissionsOf(place, image.ImageId ?? ''),
    readFastZones(place, image),
    readGrants(place, looked),
    readValue(place, looked),
    readLaunches(place, looked),
  ]);
  return { launchPermissions, fastZones, grants, parameter, template };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeFastSnapshotRestores.html */
async function readFastZones(place: Place, image: Image): Promise<PublishedFacts['fastZones']> {
  const Filters = [
    { Name: 'snapshot-id', Values: snapshotIdsOf(image) },
    { Name: 'state', Values: ['enabling', 'optimizing', 'enabled'] },
  ];
  const found = await pages(async (NextToken) => {
    const page = await place.ec2(new DescribeFastSnapshotRestoresCommand({ Filters, NextToken }));
    return { items: page.FastSnapshotRestores ?? [], next: page.NextToken };
  });
  const byId = Map.groupBy(found, ({ SnapshotId = '' }) => SnapshotId);
  return new Map([...byId].map(([id, own]) => [id, own.flatMap(({ AvailabilityZone }) => AvailabilityZone ?? [])]));
}

async function readGrants(place: Place, { grantsOn }: Looked): Promise<PublishedFacts['grants']> {
  if (grantsOn === undefined) return [];
  const grants = await listGrants(place, grantsOn);
  // One that is bound to a volume, as EC2 makes them, launches nothing else:
  // https://docs.aws.amazon.com/kms/latest/APIReference/API_GrantConstraints.html
  const free = grants.filter(({ Constraints = {} }) => Object.keys(Constraints).length === 0);
  return free.map(({ GranteePrincipal = '', Operations = [] }) => ({
    principal: GranteePrincipal,
    operations: Operations,
  }));
}

async function readValue(place: Place, { parameter }: Looked): Promise<string | undefined> {
  if (parameter === undefined) return undefined;
  try {
    return (await place.ssm(new GetParameterCommand({ Name: parameter }))).Parameter?.Value;
  } catch (error) {
    if (hasCode(error, 'ParameterNotFound')) return undefined;
    throw error;
  }
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
const noTemplate = ['InvalidLaunchTemplateId.NotFound', 'InvalidLaunchTemplateName.NotFoundException'];

async function readLaunches(place: Place, { template }: Looked): Promise<PublishedFacts['template']> {
  if (template === undefined) return undefined;
  try {
    return await readTemplate(place, template, '$Latest');
  } catch (error) {
    if (noTemplate.some((code) => hasCode(error, code))) return undefined;
    throw error;
  }
}

/** What bears tags of ours in an account and region, of whatever source; with the snapshots that the images have. */
export type Around = Readonly<{
  images: readonly Image[];
  /** Those that bear the mark of a run at work. */
  snapshots: readonly Snapshot[];
  parts: ReadonlyMap<string, Snapshot>;
}>;

/** Reads what bears tags of ours; `known` are snapshots that were read already. */
export async function readAround(place: Place, known: ReadonlyMap<string, Snapshot>): Promise<Around> {
  const [images, snapshots] = await joined<[Image[], Snapshot[]]>([
    ownImages(place, { Name: 'tag-key', Values: [tagKeys.sourceAmi] }),
    ownSnapshots(place, { Name: 'tag-key', Values: [tagKeys.lease, tagKeys.replacedBy] }),
  ]);
  const parts = new Map(known);
  const unread = [...new Set(images.flatMap(snapshotIdsOf))].filter((id) => !parts.has(id));
  for (const snapshot of await describeSnapshots(place, unread)) parts.set(snapshot.SnapshotId ?? '', snapshot);
  return { images, snapshots, parts };
}
