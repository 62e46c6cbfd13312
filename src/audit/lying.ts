import type { Image, Instance, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import type { Where } from '../aws/errors.ts';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import type { Around } from '../observe/published.ts';
import { isLaunchedBy } from '../operations/instances.ts';
import type { AuditFinding } from '../plan/audit.ts';
import { isOfEncryptedCopy, type Known, type Tie, tieOfImage, tieOfSnapshot, tieToLease } from '../plan/evidence.ts';
import { claimsLineage, tieInLineage } from '../plan/lineage.ts';
import { launchOf, madeOf, type Owners } from '../sweep.ts';
import { tagKeys, tagValue } from '../tags.ts';

/* What bears tags of ours and is no target's AMI: left over by a run that died, or not ours. */

/** A finding, of a place that is known. */
export type Found = Omit<AuditFinding, 'account' | 'region' | 'optional'>;

/** What bears tags of ours in a target, what proves them, and the lineage that its AMI is to be of. */
export type Lying = Readonly<{
  place: Place;
  around: Around;
  /** Those that bear a run's lease: of boot tests. */
  instances: readonly Instance[];
  known: Known;
  lineage: string | undefined;
}>;

/** Whose work there may be, undefined where that can't be read; and of what the AMIs are to be. */
type Judging = Readonly<{
  owners: Owners | undefined;
  source: Readonly<{ imageId: string }>;
  /** Whether the lineage alone says of what. */
  isByLineage: boolean;
}>;

/** What is left over in a target, and what isn't ours there. */
export function lyingAbout(judging: Judging, lying: Lying): Found[] {
  const { around, instances } = lying;
  // In the source account there are the encrypted copies, too, which are judged with what they are of.
  const images = around.images.filter((one) => one.ImageId !== judging.source.imageId && !isEncryptedCopy(one));
  const snapshots = around.snapshots.filter((one) => tagValue(one, tagKeys.intermediate) === undefined);
  return [
    ...images.flatMap((one) => judge(judging, lying, { one, id: one.ImageId, tie: imageTie(judging, lying, one) })),
    ...snapshots.flatMap((one) =>
      judge(judging, lying, { one, id: one.SnapshotId, tie: tieOfSnapshot(one, lying.known) }),
    ),
    ...instances.flatMap((one) => judgeInstance(judging, lying, one)),
  ];
}

function imageTie({ isByLineage }: Judging, { known, lineage }: Lying, image: Image): Tie {
  if (lineage === undefined || !claimsLineage(image, lineage)) return tieOfImage(image, known);
  const tied = tieInLineage(image, lineage, known);
  // Of what an encrypted copy was of, AWS was asked only where the lineage alone says what is to be there.
  const isJudged = isByLineage || !isOfEncryptedCopy(image);
  return tied.is === 'claimed' && isJudged ? { ...tied, is: 'foreign' } : tied;
}

type Tied = Readonly<{ one: Image | Snapshot; id: string | undefined; tie: Tie }>;

/** By its own tie, and by that to the run whose lease it bears, if that run has ended. */
function judge({ owners }: Judging, { place }: Lying, { one, id = '', tie }: Tied): Found[] {
  const [ended] = madeOf(one, place.awsNow()).flatMap(({ lease, ...made }) => {
    const since = owners?.endedSince({ ...made, lease });
    return since === undefined ? [] : [{ lease, since }];
  });
  // What gave its name to another AMI was there before the run that took it.
  const isMade = ended !== undefined && ended.lease === tagValue(one, tagKeys.lease);
  return told(id, isMade && tie.is !== 'foreign' ? tieToLease(one, ended.since) : tie, ended?.since);
}

/** A sweep ends what a run launched, by the client token. */
function judgeInstance({ owners }: Judging, { place }: Lying, one: Instance): Found[] {
  const made = launchOf(one, place.awsNow());
  const tie: Tie = isLaunchedBy(one, made.lease, place)
    ? { is: 'proven' }
    : { is: 'foreign', why: 'the run whose lease it bears did not launch it' };
  return told(made.id, tie, owners?.endedSince(made));
}

function told(id: string, tie: Tie, since: number | undefined): Found[] {
  if (tie.is === 'foreign') return [{ kind: 'foreign', id, why: `${id} bears tags of this action, but ${tie.why}` }];
  if (since === undefined) return [];
  return [{ kind: 'left-over', id, why: `${id} bears the mark of a run that has ended; a sweep takes it back` }];
}

/** What runs that died left at the source, and what only bears the tags of encrypted copies there. */
export function leftAtSource({ account, region }: Where, owners: Owners | undefined): AuditFinding[] {
  const { abandoned = [], foreign = [] } = owners ?? {};
  return [
    ...abandoned.map(({ ImageId = '' }): AuditFinding => {
      const why = `a run on ${ImageId} died, and what it left at the source is not taken back yet; a sweep does it`;
      return { kind: 'left-over', account, region, id: ImageId, why };
    }),
    ...foreign.map((why): AuditFinding => ({ kind: 'foreign', account, region, why })),
  ];
}
