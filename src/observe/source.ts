import { DescribeImageAttributeCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import { GetParameterCommand } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { describeImages, describeSnapshots, imagesOf, ownImages, sharedImages } from '../aws/describe.ts';
import { isDenied, placeName } from '../aws/errors.ts';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import { hasUefi, type ImageExtras, snapshotIdsOf } from '../image.ts';
import type { Request } from '../inputs.ts';
import { joined } from '../join.ts';
import type { Source, SourceSnapshot } from '../plan/facts.ts';
import type { Findings } from '../plan/problem.ts';
import { recallOf } from '../plan/recalled.ts';
import { tagKeys, tagValue } from '../tags.ts';
import type { Accounts } from './accounts.ts';
import { createdImageName, type ForeseenImage, foreseeImage, isFailedTry } from './instance.ts';
import { describeKey, resolveKey } from './key.ts';

/** Who asks, as whom, and who is told what can't be read. */
export type Observing = Readonly<{ request: Request; accounts: Accounts; findings: Findings }>;

/**
 * The source AMI with its snapshots and their keys; undefined after findings that say why there is none. What is only
 * compared with may be disabled, as a recall leaves it.
 */
export async function resolveSource(
  { request, accounts, findings }: Observing,
  use: 'share' | 'compare',
): Promise<Source | undefined> {
  const place = accounts.source(request.source.region);
  const where = placeName(place);
  const { kmsKey } = request.source;
  const [kmsKeyArn, found] = await joined<[string | undefined, Found | null | undefined]>([
    kmsKey === undefined
      ? Promise.resolve(undefined)
      : resolveKey(place, { key: kmsKey, input: 'source-kms-key' }, findings),
    findings.attempt(where, 'finding the source AMI', () => findImage(place, request, findings)),
  ]);
  if (found == null) return undefined;
  const isAsked = isOwnedAsAsked(found.image, { place, owners: request.sourceOwners, findings });
  const isGood = (use === 'compare' && found.image.State === 'disabled') || isShareable(found.image, place, findings);
  if (!isGood || !isAsked) return undefined;
  const { image } = found;
  const foreseen = found.snapshots !== undefined;
  const id = image.ImageId ?? '';
  const [snapshots, extras] = await joined<[SourceSnapshot[] | undefined, ImageExtras | undefined]>([
    findings.attempt(where, `reading the snapshots of ${id}`, () =>
      resolveSnapshots(place, found, { sourceKeyArn: kmsKeyArn, findings }),
    ),
    foreseen
      ? Promise.resolve({ uefiData: undefined })
      : findings.attempt(where, `reading the UEFI variables of ${id}`, () => readExtras(place, image)),
  ]);
  if (snapshots === undefined || extras === undefined) return undefined;
  const instanceId = foreseen ? id : undefined;
  const { account, region } = place;
  const own = { place: { account, region }, account, imageId: id, earlierTry: found.earlierTry };
  return { ...own, instanceId, image, extras, snapshots, kmsKeyArn };
}

/** An AMI; with its snapshots where neither is there yet, and with what an earlier try has come to so far. */
type Found = Readonly<{ image: Image; snapshots?: ForeseenImage['snapshots']; earlierTry?: Image | undefined }>;

/** The AMI that the inputs name; null after a finding that says what there is instead. */
async function findImage(place: Place, request: Request, findings: Findings): Promise<Found | null> {
  const source = request.image;
  switch (source.by) {
    case 'id':
      return byId(place, { id: source.id, check: 'check the input, source-region and source-role-arn' }, findings);
    case 'name':
      return byName(place, { pattern: source.pattern, owners: request.sourceOwners }, findings);
    case 'ssm-parameter': {
      const { Parameter } = await place.ssm(new GetParameterCommand({ Name: source.name }));
      const id = Parameter?.Value?.trim() ?? '';
      if (/^ami-[0-9a-f]+$/.test(id))
        return byId(place, { id, check: `put the ID of such an AMI into ${source.name}` }, findings);
      findings.add(
        placeName(place),
        `the SSM parameter ${source.name} holds ${JSON.stringify(id.slice(0, 100))}, which is no AMI ID`,
        'name a parameter whose value is the ID of an AMI',
      );
      return null;
    }
    case 'instance': {
      // A run before this one may have made it already. One that is under way, or failed, is for the run to see to.
      const [made] = await ownImages(place, { Name: 'name', Values: [createdImageName(request, source.id)] });
      if (made !== undefined && made.SourceInstanceId !== source.id) {
        findings.add(
          placeName(place),
          `the AMI of ${source.id} is to be named ${JSON.stringify(made.Name)}, which ${made.ImageId} has, and AWS doesn't say that this was made of the instance`,
          'deregister that AMI, or run the workflow anew',
        );
        return null;
      }
      if (made !== undefined && made.State !== 'pending' && !isFailedTry(made, source.id)) return { image: made };
      const foreseen = await foreseeImage(place, { request, findings }, source.id);
      return foreseen && { ...foreseen, earlierTry: made };
    }
  }
}

/**
 * AWS says NotFound for an unknown ID, Malformed for one that it never gives, and answers an empty list for an AMI that isn't
 * this account's to see.
 */
async function byId(
  place: Place,
  { id, check }: Readonly<{ id: string; check: string }>,
  findings: Findings,
): Promise<Found | null> {
  const [image] = await describeImages(place, [id]);
  if (image !== undefined) return { image };
  findings.add(
    placeName(place),
    `there is no ${id} that account ${place.account} can see in ${place.region}`,
    `${check}; an AMI of another account must be shared with this one, and where Allowed AMIs is on, a criterion of it must allow the AMI`,
  );
  return null;
}

type Named = Readonly<{ pattern: string; owners: readonly string[] }>;

/** The newest available AMI of the owners that were asked for: anybody could publish one with a name that fits. */
async function byName(place: Place, { pattern, owners }: Named, findings: Findings): Promise<Found | null> {
  const found = await imagesOf(place, owners, { Name: 'name', Values: [pattern] });
  const ids = new Set(found.map(({ ImageId }) => ImageId));
  // What this action made of one of them, in this account itself, is no newer image.
  const own = found.filter((image) => !isEncryptedCopy(image) && !ids.has(tagValue(image, tagKeys.sourceAmi)));
  const [newest, next] = own
    .filter(({ State }) => State === 'available')
    .sort((a, b) => (b.CreationDate ?? '').localeCompare(a.CreationDate ?? ''));
  const where = placeName(place);
  if (newest !== undefined && (next === undefined || newest.CreationDate !== next.CreationDate)) {
    tellNewer(own, newest, (what) => findings.warn(where, what));
    return { image: newest };
  }
  if (newest !== undefined) {
    const both = [newest, next].map((image) => `${image?.ImageId} (${image?.Name})`).join(' and ');
    findings.add(
      where,
      `two AMIs fit ami-name ${JSON.stringify(pattern)} and are equally new: ${both}`,
      'give ami-id, or a narrower ami-name',
    );
    return null;
  }
  const shared = await sharedImages(place, { Name: 'name', Values: [pattern] });
  const others = [...own, ...shared].slice(0, 10);
  const list = others
    .map(({ ImageId, Name, State, OwnerId }) => `${ImageId} (${Name}, ${State}, of account ${OwnerId})`)
    .join(', ');
  findings.add(
    where,
    `no available AMI of source-owners (${owners.join(', ')}) is named ${JSON.stringify(pattern)}; found: ${list || 'nothing'}`,
    'correct ami-name, source-region or source-owners',
  );
  return null;
}

/** Whoever names an AMI while a newer one is being made may mean that one. */
function tellNewer(
  fitting: readonly Image[],
  { ImageId, CreationDate = '' }: Image,
  warn: (what: string) => void,
): void {
  for (const newer of fitting)
    if (newer.State === 'pending' && (newer.CreationDate ?? CreationDate) >= CreationDate)
      warn(
        `${newer.ImageId} (${newer.Name}) fits ami-name too and is newer, but it is still pending: ${ImageId} is shared`,
      );
}

/** Whether an image is of an owner that was asked for: anybody can publish an AMI, or share one, and what it holds is theirs. */
function isOwnedAsAsked(
  { ImageId, Name, OwnerId, ImageOwnerAlias, Public }: Image,
  { place, owners, findings }: Readonly<{ place: Place; owners: readonly string[]; findings: Findings }>,
): boolean {
  const owner = OwnerId ?? place.account;
  const names = [owner, ImageOwnerAlias, owner === place.account ? 'self' : undefined];
  if (owners.some((one) => names.includes(one))) return true;
  const alias = ImageOwnerAlias === undefined ? '' : `, alias ${ImageOwnerAlias}`;
  findings.add(
    placeName(place),
    `${ImageId} (${Name}) belongs to account ${owner}${alias}, and is ${Public ? 'public' : 'not public'}; source-owners allows ${owners.join(', ')}`,
    `if this is the AMI that is meant, set source-owners to: ${[...owners, owner].join(', ')}`,
  );
  return false;
}

/** Whether an image can be copied at all; the finding says why not. */
function isShareable(image: Image, place: Place, findings: Findings): boolean {
  const where = placeName(place);
  const { ImageId, State, RootDeviceType } = image;
  const recalled = recallOf(image);
  if (State === 'disabled' && recalled !== undefined) {
    findings.add(where, recalled.what, recalled.remedy);
  } else if (State === 'disabled') {
    findings.add(
      where,
      `${ImageId} is disabled`,
      `enable it: aws ec2 enable-image --region ${place.region} --image-id ${ImageId} (its launch permissions are lost)`,
    );
  } else if (State !== 'available') {
    // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html: no other state becomes available by itself.
    const passes = State === 'pending' || State === 'transient';
    findings.add(
      where,
      `${ImageId} is ${State}; only an available AMI can be copied`,
      passes ? 'wait until it is available, or name another' : 'name another',
    );
  } else if ((RootDeviceType ?? 'ebs') !== 'ebs') {
    findings.add(
      where,
      `${ImageId} is instance-store-backed: it has no EBS snapshot to copy`,
      'make an EBS-backed AMI of it: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ConvertingS3toEBS.html',
    );
  } else {
    return true;
  }
  return false;
}

async function resolveSnapshots(
  place: Place,
  { image, snapshots }: Found,
  { sourceKeyArn, findings }: Readonly<{ sourceKeyArn: string | undefined; findings: Findings }>,
): Promise<SourceSnapshot[]> {
  const ids = snapshotIdsOf(image);
  const known = snapshots ?? (await describeSnapshots(place, ids));
  const found = new Map(known.map((snapshot) => [snapshot.SnapshotId, snapshot]));
  const keyArns = new Set([...found.values()].flatMap(({ KmsKeyId }) => KmsKeyId ?? []));
  const obstacleOf = async (arn: string) =>
    [arn, arn === sourceKeyArn ? undefined : await keyObstacle(place, arn)] as const;
  const obstacles = new Map(await Promise.all([...keyArns].map(obstacleOf)));
  return ids.flatMap((id) => {
    const snapshot = found.get(id);
    const note = (what: string, remedy: string) =>
      findings.add(placeName(place), `${id} of ${image.ImageId} ${what}`, remedy);
    if (snapshot === undefined) {
      note(
        `is not there, or not shared with account ${place.account}`,
        `have its owner share it with account ${place.account}, or make the AMI anew`,
      );
      return [];
    }
    noteHindrances(snapshot, place, note);
    const { KmsKeyId, OwnerId, VolumeSize, Tags } = snapshot;
    const foreign = OwnerId !== undefined && OwnerId !== place.account;
    return [
      {
        id,
        sizeGiB: VolumeSize ?? 0,
        kmsKeyArn: KmsKeyId,
        obstacle: foreign
          ? `owned by account ${OwnerId}`
          : KmsKeyId === undefined
            ? 'not encrypted'
            : obstacles.get(KmsKeyId),
        tags: Tags ?? [],
      },
    ];
  });
}

/** Notes all that keeps a snapshot which is there from being copied. */
function noteHindrances(
  { SnapshotId, StorageTier, State, OutpostArn }: Snapshot,
  { region }: Place,
  note: (what: string, remedy: string) => void,
): void {
  if (StorageTier === 'archive')
    note(
      "is archived, and archived snapshots can't be copied",
      `restore it first, which may take 72 hours: aws ec2 restore-snapshot-tier --region ${region} --snapshot-id ${SnapshotId} --permanent-restore`,
    );
  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
  if (OutpostArn !== undefined)
    note(
      `is on an Outpost (${OutpostArn}), and AWS copies no snapshot from an Outpost`,
      'make the AMI of snapshots in the region',
    );
  if (State === 'error' || State === 'recoverable' || State === 'recovering')
    note(`is in state ${State}`, 'make the AMI anew');
}

/** Why others can't be given a key. One that the role may not describe is aws/ebs as a rule: policies name the source key alone. */
export async function keyObstacle(place: Place, keyArn: string): Promise<string | undefined> {
  try {
    const { KeyManager, AWSAccountId } = await describeKey(place, keyArn);
    if (KeyManager === 'AWS') return 'under the AWS managed key aws/ebs';
    return AWSAccountId === place.account ? undefined : `under a key of account ${AWSAccountId}`;
  } catch (error) {
    if (isDenied(error)) return `under ${keyArn}, which the source role is not allowed to describe`;
    throw error;
  }
}

/** Only images that boot by UEFI have variables, only their owner may read them, and DescribeImages doesn't tell them. */
export async function readExtras(place: Place, image: Image): Promise<ImageExtras> {
  if (!hasUefi(image) || image.OwnerId !== place.account) return { uefiData: undefined };
  const { UefiData } = await place.ec2(
    new DescribeImageAttributeCommand({ ImageId: image.ImageId, Attribute: 'uefiData' }),
  );
  return { uefiData: UefiData?.Value || undefined };
}
