import { DescribeAvailabilityZonesCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import { isImageDescription, isImageName } from '../image.ts';
import { isLineage } from '../inputs/publication.ts';
import { runValues } from '../inputs/reader.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import { joined } from '../join.ts';
import { checkFilled } from '../plan/creation-tags.ts';
import type { Source, Target } from '../plan/facts.ts';
import { fill, needsSourceImage, type TemplateValues } from '../template.ts';
import { roleOf } from './accounts.ts';
import { readBootSite } from './boot.ts';
import { findEarlier } from './earlier.ts';
import { resolveKey } from './key.ts';
import { readLaunchTemplate } from './launch-template.ts';
import { checkParameter } from './parameter.ts';
import { readKeepers } from './removable.ts';
import type { Observing } from './source.ts';
import type { Asked } from './telling.ts';

/** What each target is and holds, without those of which that can't be read. */
export async function observeTargets(observing: Observing, source: Promise<Source | undefined>): Promise<Target[]> {
  const targets = await joined(observing.request.targets.map((target) => observeTarget(observing, target, source)));
  return targets.filter((target) => target !== undefined);
}

async function observeTarget(
  all: Observing,
  target: TargetRequest,
  source: Promise<Source | undefined>,
): Promise<Target | undefined> {
  const { request, accounts } = all;
  const findings = all.findings.about([placeName(target)]);
  const observing: Observing = { request, accounts, findings };
  const { account, region, everyRegion } = target;
  if (everyRegion?.problem !== undefined) {
    const { where, what, remedy } = everyRegion.problem;
    findings.add(where, what, remedy);
    return undefined;
  }
  let values: Partial<TemplateValues> = { account, region, ...runValues(request.run) };
  if ([target.roleArn ?? '', target.kmsKey].some(needsSourceImage)) {
    const image = (await source)?.image;
    if (image === undefined) return undefined;
    values = { ...values, name: image.Name ?? '', 'source-ami': image.ImageId ?? '' };
  }
  const roleArn = target.roleArn === undefined ? undefined : fill(target.roleArn, values);
  const caller = await accounts.openTarget({ account, region }, roleArn);
  if (caller === undefined) return undefined;
  const place = accounts.target({ account, region });
  const [kmsKeyArn, read] = await joined<[string | undefined, Found | undefined]>([
    resolveKey(place, { key: fill(target.kmsKey, values), input: 'target-kms-key' }, findings),
    source.then((found) => found && readTarget(observing, { target, place, roleArn, source: found })),
  ]);
  if (read === undefined || kmsKeyArn === undefined) return undefined;
  const principalArn = roleArn ?? caller.arn;
  return { request: target, place: { account, region }, roleArn, principalArn, kmsKeyArn, ...read };
}

/** Where a target is to be, and of what. */
type Origin = Readonly<{ target: TargetRequest; place: Place; roleArn: string | undefined; source: Source }>;
/** What a target has of itself, and what is there already. */
type Found = Omit<Target, 'request' | 'place' | 'roleArn' | 'principalArn' | 'kmsKeyArn'>;

async function readTarget({ request, findings }: Observing, origin: Origin): Promise<Found | undefined> {
  const { target, place, roleArn, source } = origin;
  const { image } = source;
  const where = placeName(place);
  const { account, region } = target;
  const values: TemplateValues = {
    ...{ account, region, ...runValues(request.run) },
    ...{ name: image.Name ?? '', 'source-ami': image.ImageId ?? '' },
  };
  const name = fill(target.amiName, values);
  // Without its source AMI, a name that holds that one's is left as it was asked for.
  if (source.unread === undefined && !isImageName(name)) {
    findings.add(
      where,
      `${JSON.stringify(name)} cannot name an AMI`,
      "give a target-ami-name of 3 to 128 letters, digits, spaces and ()[]./-'@_",
    );
  }
  const description = request.description === undefined ? undefined : fill(request.description, values);
  if (description !== undefined && !isImageDescription(description)) {
    findings.add(
      where,
      'the description cannot be given to an AMI',
      'give a target-ami-description of at most 255 ASCII characters',
    );
  }
  const role = roleOf(place, roleArn);
  const tags = Object.fromEntries(Object.entries(target.tags).map(([tag, value]) => [tag, fill(value, values)]));
  checkFilled(tags, 'tags', { findings, where });
  const lineage = request.publication.lineage && fill(request.publication.lineage, values);
  if (lineage !== undefined && !isLineage.fits(lineage))
    findings.add(where, `${JSON.stringify(lineage)} cannot be a lineage`, `correct lineage: ${isLineage.expected}`);
  const earlier = await findings.attempt(where, 'looking for what is there already', () =>
    findEarlier(place, source, { name, lineage, request, role, findings }),
  );
  const keepers = await readKeepers(place, earlier, { request, role, findings });
  const zones = await readZones(place, { request, findings });
  const { boot } = request.publication;
  const bootSite = boot && (await readBootSite(place, { boot, image, values, findings }));
  const references = await readReferences(place, values, { request, role, findings });
  if (earlier === undefined) return undefined;
  return {
    name,
    description,
    tags,
    grantKeyTo: request.publication.grantKeyTo.map((principal) => fill(principal, values)),
    lineage,
    ...references,
    bootSite,
    zones,
    ...keepers,
    ...earlier,
  };
}

/** What is to name the AMI: the SSM parameter, and the launch template where that needs a version. */
async function readReferences(
  place: Place,
  values: TemplateValues,
  { request: { publication }, role, findings }: Asked & Readonly<{ role: string }>,
): Promise<Pick<Target, 'ssmParameter' | 'launchTemplate'>> {
  const where = placeName(place);
  const { ssmParameter: named, launchTemplate: asked } = publication;
  const ssmParameter = named && fill(named, values);
  if (ssmParameter !== undefined)
    await findings.attempt(where, `reading the SSM parameter ${ssmParameter}`, () =>
      checkParameter(place, ssmParameter, findings),
    );
  if (asked === undefined) return { ssmParameter, launchTemplate: undefined };
  const template = { ...asked, template: fill(asked.template, values), parameter: ssmParameter };
  const launchTemplate = await findings.attempt(where, `reading the launch template ${template.template}`, () =>
    readLaunchTemplate(place, template, { role, findings }),
  );
  return { ssmParameter, launchTemplate };
}

/** The zones for fast snapshot restore. One list may serve targets of several regions: each takes its own. */
async function readZones(place: Place, { request: { publication }, findings }: Asked): Promise<string[]> {
  const { fastSnapshotRestore: asked } = publication;
  const here = asked === 'all' ? asked : asked.filter((zone) => zone.slice(0, -1) === place.region);
  if (here.length === 0) return [];
  const where = placeName(place);
  const there = await findings.attempt(where, 'reading the availability zones', async () => {
    const { AvailabilityZones = [] } = await place.ec2(
      new DescribeAvailabilityZonesCommand({
        Filters: [
          { Name: 'state', Values: ['available'] },
          { Name: 'zone-type', Values: ['availability-zone'] },
        ],
      }),
    );
    return AvailabilityZones.flatMap(({ ZoneName }) => ZoneName ?? []);
  });
  if (there === undefined || here === 'all') return there ?? [];
  const unknown = here.filter((zone) => !there.includes(zone));
  if (unknown.length > 0)
    findings.add(
      where,
      `account ${place.account} has no availability zone ${unknown.join(', ')}; it has ${there.join(', ')}`,
      'correct fast-snapshot-restore',
    );
  return here;
}
