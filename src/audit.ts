import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { problemLine } from './alike.ts';
import type { Place } from './aws/clients.ts';
import { placeName, type Where } from './aws/errors.ts';
import { isEncryptedCopy } from './encrypted-copy.ts';
import type { Host } from './host.ts';
import type { AuditRequest } from './inputs/audit.ts';
import type { TargetRequest } from './inputs/targets.ts';
import { joined } from './join.ts';
import { type Accounts, openAccounts } from './observe/accounts.ts';
import { observe } from './observe/observe.ts';
import { type Around, readAround, readPublished } from './observe/published.ts';
import {
  type AuditFinding,
  type Auditing,
  auditDifferences,
  auditedImage,
  parameterOf,
  templateOf,
  whyRecalled,
} from './plan/audit.ts';
import { type Known, type Tie, tieOfImage, tieOfSnapshot } from './plan/evidence.ts';
import type { Source, Target } from './plan/facts.ts';
import { copiesOf, ownIn, ownIntermediates } from './plan/ours.ts';
import { type Findings, openFindings } from './plan/problem.ts';
import { type Log, openLog } from './report/progress.ts';
import { ProblemsError } from './report/stopped.ts';
import { madeOf, type Owners, readOwners } from './sweep.ts';
import { tagKeys, tagValue } from './tags.ts';

/** What an audit has come to. */
export type Audited = Readonly<{ source: Source; findings: readonly AuditFinding[]; seconds: number }>;

/**
 * Compares each target with what a share would make and publish there, and looks for what lies about. Only reads.
 * @throws ProblemsError where nothing can be compared, since the source can't be read
 */
export async function audit(host: Host, request: AuditRequest, signal: AbortSignal): Promise<Audited> {
  const log = openLog(host);
  return log.group('Comparing every target with the source AMI', async () => {
    let looked = await look({ host, request, log }, signal);
    if (looked.found.length > 0) {
      await host.clock.sleep(settleMs, signal);
      looked = await look({ host, request, log }, signal);
    }
    const { source, found, warnings } = looked;
    for (const warning of warnings) log.warn(warning);
    for (const { kind, account, region, why } of found) log.line(placeName({ account, region }), `${kind}: ${why}`);
    return { source, findings: found, seconds: log.elapsedSeconds() };
  });
}

/**
 * What is found is looked at again so much later: a share that has just ended is seen late
 * (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html).
 */
const settleMs = 10_000;

type Asked = Readonly<{ host: Host; request: AuditRequest; log: Log }>;
type Looked = Readonly<{ source: Source; found: readonly AuditFinding[]; warnings: readonly string[] }>;

async function look({ host, request, log }: Asked, signal: AbortSignal): Promise<Looked> {
  const findings = openFindings(signal);
  const accounts = openAccounts(host, request, findings);
  const warnings: string[] = [];
  const observed = await observe(whatIsCompared(request), accounts, findings);
  if (observed === undefined || findings.of(undefined).length > 0)
    throw new ProblemsError(findings.problems, undefined);
  const { source } = observed;
  const at = accounts.source(source.place.region);
  const owners = await readOwners({
    ...{ host, request, accounts, source: at },
    log: { ...log, warn: (text) => warnings.push(text) },
  });
  const parents = copiesOf(source, ownIntermediates(observed, openFindings(signal)));
  const known = new Map(observed.targets.map((target) => [target.request, target]));
  const looking: Looking = { request, accounts, source, owners, parents, findings };
  const found = await joined(request.targets.map((target) => auditTarget(looking, target, known.get(target))));
  const all = [...found.flat(), ...leftAtSource(source.place, owners)];
  return { source, found: all, warnings: [...warnings, ...findings.warnings()] };
}

/** Reads nothing that only a share needs: its keys, hubs, boot test, and what it may remove. */
function whatIsCompared(request: AuditRequest): AuditRequest {
  const none = {
    ssmParameter: undefined,
    launchTemplate: undefined,
    boot: undefined,
    lineage: undefined,
    retain: undefined,
  };
  const publication = { ...request.publication, ...none };
  const source = { ...request.source, kmsKey: undefined };
  return { ...request, source, publication, scan: undefined, onExisting: 'reuse', topology: 'direct' };
}

type Looking = Readonly<{
  request: AuditRequest;
  accounts: Accounts;
  source: Source;
  owners: Owners;
  parents: Known['parents'];
  findings: Findings;
}>;

/** What isn't as it should be in one target; what can't be read is `unknown`, with the reason. */
async function auditTarget(
  looking: Looking,
  asked: TargetRequest,
  observed: Target | undefined,
): Promise<AuditFinding[]> {
  const { accounts, source, request, parents } = looking;
  const name = placeName(asked);
  const findings = looking.findings.about([name]);
  const isRead = () => findings.of(name).length === 0;
  const found = async (): Promise<Found[]> => {
    if (observed === undefined || !isRead()) return [];
    const place = accounts.target(observed.place);
    const around = await findings.attempt(name, 'looking for what bears tags of this action', () =>
      readAround(place, observed.parts),
    );
    if (around === undefined) return [];
    const { target } = ownIn(observed, parents, openFindings(findings.signal));
    const own = await auditImage({ request, source, target }, place, findings);
    return [...own, ...lyingAbout(looking, { around, target, now: place.awsNow() })];
  };
  const { account, region, optional } = asked;
  const all = await found();
  const unknown: Found[] = isRead() ? [] : [{ kind: 'unknown', why: problemLine(findings.of(name)) }];
  return [...unknown, ...all].map(({ kind, ...one }) => ({
    kind,
    account,
    region,
    ...(optional && { optional }),
    ...one,
  }));
}

/** A finding, of a place that is known. */
type Found = Omit<AuditFinding, 'account' | 'region' | 'optional'>;

/** What isn't as it should be with the AMI of a target; what can't be read of it goes into `findings`. */
async function auditImage(auditing: Auditing, place: Place, findings: Findings): Promise<Found[]> {
  const { source, target } = auditing;
  const image = auditedImage(auditing);
  if (image === undefined) return [missing(target)];
  const id = image.ImageId ?? '';
  const recalled = whyRecalled(auditing, image);
  if (recalled !== undefined) return [{ kind: 'recalled', id, why: recalled }];
  const name = placeName(place);
  const grantsOn = target.grantKeyTo.length > 0 ? target.kmsKeyArn : undefined;
  const published = await findings.attempt(name, `reading how ${id} is published`, () =>
    readPublished(place, image, { grantsOn, parameter: parameterOf(auditing), template: templateOf(auditing) }),
  );
  const isUnread = source.extras.uefiData !== undefined && !target.existingExtras.has(id);
  if (isUnread && image.State === 'available')
    findings.add(name, `the UEFI variables of ${id} could not be read`, 'allow ec2:DescribeImageAttribute');
  if (published === undefined) return [];
  const found = auditDifferences(auditing, image, published);
  if (found.length === 0) return [];
  const differences = found.map(({ field, source: expected, target: actual }) => ({ field, expected, actual }));
  const why = differences.map(({ field, expected, actual }) => `${field} is ${actual}, not ${expected}`).join('; ');
  return [{ kind: 'differs', id, why: `${id}: ${why}`, differences }];
}

/** That no finished AMI of the source is there. */
function missing({ existing }: Target): Found {
  const making = existing.filter(({ State }) => State === 'pending' || State === 'available');
  const ids = making.map(({ ImageId }) => ImageId).join(', ');
  const why =
    ids === ''
      ? 'there is no AMI of this source'
      : `no AMI of this source is finished; ${ids} bears the lease of a run`;
  return { kind: 'missing', why };
}

/** What bears tags of ours and is no target's AMI: left over by a run that died, or not ours. */
function lyingAbout(
  { source, owners, parents }: Looking,
  { around, target, now }: Readonly<{ around: Around; target: Target; now: number }>,
): Found[] {
  const known: Known = { snapshots: around.parts, parents: new Map([...target.ancestry, ...parents]) };
  const one = (id: string, left: string | undefined, tie: Tie): Found[] => {
    if (tie.is === 'foreign') return [{ kind: 'foreign', id, why: `${id} bears tags of this action, but ${tie.why}` }];
    return left === undefined ? [] : [{ kind: 'left-over', id, why: `${id} ${left}` }];
  };
  const leftBy = (resource: Image | Snapshot): string | undefined => {
    // On an AMI, `superseded` names the next one of its lineage.
    const taken = 'ImageId' in resource ? undefined : tagValue(resource, tagKeys.superseded);
    const lease = tagValue(resource, tagKeys.lease) ?? taken;
    if (lease === undefined || owners.endedSince(madeOf(resource, lease, now)) === undefined) return undefined;
    return 'bears the lease of a run that has ended; a sweep takes it back';
  };
  // In the source account there are the encrypted copies, too, which are judged with what they are of.
  const images = around.images.filter((image) => image.ImageId !== source.imageId && !isEncryptedCopy(image));
  const snapshots = around.snapshots.filter((snapshot) => tagValue(snapshot, tagKeys.intermediate) === undefined);
  return [
    ...images.flatMap((image) => one(image.ImageId ?? '', leftBy(image), tieOfImage(image, known))),
    ...snapshots.flatMap((snapshot) =>
      one(snapshot.SnapshotId ?? '', leftBy(snapshot), tieOfSnapshot(snapshot, known)),
    ),
  ];
}

/** What runs that died left at the source, and what only bears the tags of encrypted copies there. */
function leftAtSource({ account, region }: Where, { abandoned, foreign }: Owners): AuditFinding[] {
  return [
    ...abandoned.map(({ ImageId = '' }): AuditFinding => {
      const why = `a run on ${ImageId} died, and what it left at the source is not taken back yet; a sweep does it`;
      return { kind: 'left-over', account, region, id: ImageId, why };
    }),
    ...foreign.map((why): AuditFinding => ({ kind: 'foreign', account, region, why })),
  ];
}
