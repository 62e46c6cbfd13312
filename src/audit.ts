import type { Image, Instance } from '@aws-sdk/client-ec2';
import { problemLine, together } from './alike.ts';
import { type Found, type Lying, leftAtSource, lyingAbout } from './audit/lying.ts';
import { changedMs } from './aws/describe.ts';
import { placeName, type Where } from './aws/errors.ts';
import type { Host } from './host.ts';
import type { AuditRequest } from './inputs/audit.ts';
import type { TargetRequest } from './inputs/targets.ts';
import { joined } from './join.ts';
import { type Accounts, openAccounts } from './observe/accounts.ts';
import { type Compared, type Comparing, observeCompared, readCopies } from './observe/compared.ts';
import { type Around, readAround, readPublished } from './observe/published.ts';
import { leasedInstances } from './operations/instances.ts';
import { afterHalf, ending } from './patience.ts';
import {
  type AuditFinding,
  type Auditing,
  auditDifferences,
  auditedImage,
  parameterOf,
  templateOf,
  whyRecalled,
} from './plan/audit.ts';
import type { Known } from './plan/evidence.ts';
import type { Source, Target } from './plan/facts.ts';
import { membersOf, whyUnpublished } from './plan/lineage.ts';
import { ownIn } from './plan/ours.ts';
import { type Findings, openFindings } from './plan/problem.ts';
import { type Log, openLog } from './report/progress.ts';
import { ProblemsError } from './report/stopped.ts';
import { type Owners, readOwners } from './sweep.ts';
import { tagKeys, tagValue } from './tags.ts';
import { fill } from './template.ts';
import { TimeOutError } from './time.ts';

/** What an audit has come to. */
export type Audited = Readonly<{ source: Source; findings: readonly AuditFinding[]; seconds: number }>;

/**
 * Compares each target with what a share would make and publish there, and looks for what lies about. Only reads.
 * @throws ProblemsError where nothing can be compared: the source can't be read, or no target has anything of the lineage
 */
export async function audit(host: Host, request: AuditRequest, signal: AbortSignal): Promise<Audited> {
  const log = openLog(host);
  return log.group('Comparing every target with the source AMI', async () => {
    const first = await look({ host, request, log }, signal);
    const { source, found, warnings } =
      first.found.length > 0 ? await lookAgain({ host, request, log }, first, signal) : first;
    for (const warning of warnings) log.warn(warning);
    for (const { kind, account, region, why } of found) log.line(placeName({ account, region }), `${kind}: ${why}`);
    return { source, findings: found, seconds: log.elapsedSeconds() };
  });
}

type Asked = Readonly<{ host: Host; request: AuditRequest; log: Log }>;
type Looked = Readonly<{ source: Source; found: readonly AuditFinding[]; warnings: readonly string[] }>;

/** What is found once more, since a share may just have ended. What can't be read again is as it was seen before. */
async function lookAgain(asked: Asked, first: Looked, signal: AbortSignal): Promise<Looked> {
  try {
    await asked.host.clock.sleep(changedMs, signal);
    const again = await look(asked, signal);
    const lost = unknownIn(again);
    const isLost = (one: AuditFinding) => lost.has(placeName(one));
    const places = [...asked.request.targets, again.source.place].map(placeName);
    const found = [...first.found.filter(isLost), ...again.found.filter((one) => !isLost(one))].toSorted(
      (one, other) => places.indexOf(placeName(one)) - places.indexOf(placeName(other)),
    );
    const before = unknownIn(first);
    const once = [...lost].filter((name) => !before.has(name));
    return { ...again, found, warnings: [...again.warnings, ...seenOnce(once)] };
  } catch (error) {
    if (!(error instanceof ProblemsError || error instanceof TimeOutError)) throw error;
    return { ...first, warnings: [...first.warnings, ...seenOnce(['all targets'])] };
  }
}

function unknownIn({ found }: Looked): Set<string> {
  return new Set(found.flatMap((one) => (one.kind === 'unknown' ? [placeName(one)] : [])));
}

function seenOnce(places: readonly string[]): string[] {
  const what = 'could not be read again, as it is done lest a share has just ended; what is told was seen once';
  return together(places.map((where) => ({ where, what, remedy: '' }))).map((one) => `${one.places}: ${one.what}`);
}

function look({ host, request, log }: Asked, whole: AbortSignal): Promise<Looked> {
  return ending(whole, async (signal) => {
    let stage = afterHalf(host, request);
    const next = () => {
      stage = afterHalf(host, request);
    };
    const open = () => openFindings(signal, { late: () => stage });
    const findings = open();
    const accounts = openAccounts(host, { ...request, sides: { source: 'source', target: 'target-audit' } }, findings);
    const warnings: string[] = [];
    const untold: Log = { ...log, warn: (text) => warnings.push(text) };
    // With the lineage alone, what can't be read at the source keeps nothing else from being compared.
    const aside = request.image === undefined ? open() : findings;
    const caller = await aside.attempt('source account', 'assuming the source role', () => accounts.openSource());
    const source = caller && accounts.source(request.source.region);
    const comparing: Comparing = { request, accounts, findings, source, aside, next };
    const compared = await observeCompared(comparing);
    next();
    const owners =
      source &&
      (await aside.attempt(placeName(source), 'looking for what runs left', () =>
        readOwners({ host, request, accounts, source, log: untold }),
      ));
    const parents = compared && (await readCopies(comparing, compared.source));
    if (compared === undefined || parents === undefined || findings.of(undefined).length > 0)
      throw new ProblemsError(findings.problems, undefined);
    next();
    const unread = aside === findings ? '' : problemLine(aside.problems);
    const looking: Looking = { ...compared, request, accounts, owners, parents, unread, findings };
    const known = new Map(compared.targets.map((target) => [target.request, target]));
    const found = await joined(request.targets.map((target) => auditTarget(looking, target, known.get(target))));
    const all = [...found.flat(), ...leftAtSource(compared.source.place, owners)];
    const told = new Set([...warnings, ...aside.warnings(), ...findings.warnings()]);
    return { source: compared.source, found: all, warnings: [...told] };
  });
}

type Looking = Pick<Compared, 'source' | 'held'> &
  Readonly<{
    request: AuditRequest;
    accounts: Accounts;
    /** Undefined where the source account can't be read. */
    owners: Owners | undefined;
    parents: Known['parents'];
    /** Why something could not be read at the source, without which the targets are compared all the same; else empty. */
    unread: string;
    findings: Findings;
  }>;

/** What isn't as it should be in one target; what can't be read is `unknown`, with the reason. */
async function auditTarget(
  looking: Looking,
  asked: TargetRequest,
  observed: Target | undefined,
): Promise<AuditFinding[]> {
  const { accounts, source, held } = looking;
  const name = placeName(asked);
  const findings = looking.findings.about([name]);
  const isRead = () => findings.of(name).length === 0;
  const found = async (): Promise<Found[]> => {
    if (observed === undefined || !isRead()) return [];
    const place = accounts.target(observed.place);
    const [around, instances = []] = await joined<[Around | undefined, Instance[] | undefined]>([
      findings.attempt(name, 'looking for what bears tags of this action', async () => {
        return held.get(name)?.around ?? readAround(place, observed.parts);
      }),
      findings.attempt(name, 'looking for instances of boot tests', () => leasedInstances(place, 'any')),
    ]);
    if (around === undefined) return [];
    const parents = new Map([...observed.ancestry, ...(held.get(name)?.ancestry ?? []), ...looking.parents]);
    const { target } = ownIn(observed, parents, openFindings(findings.signal));
    const lying: Lying = {
      around,
      place,
      known: { snapshots: around.parts, parents },
      instances,
      lineage: lineageOf(looking, place),
    };
    const named = { ...looking.request, image: { by: 'id', id: source.imageId } } as const;
    const own = await auditImage({ request: named, source, target }, lying, findings);
    return [
      ...own,
      ...uncompared(looking, own),
      ...lyingAbout({ ...looking, isByLineage: looking.request.image === undefined }, lying),
    ];
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

/** That a target's AMI could not be compared with all that is to be read at the source. */
function uncompared({ unread }: Looking, own: readonly Found[]): Found[] {
  const isThere = own.every(({ kind }) => kind === 'differs');
  return unread !== '' && isThere ? [{ kind: 'unknown', why: `not everything could be compared: ${unread}` }] : [];
}

function lineageOf({ request, source: { image } }: Looking, { account, region }: Where): string | undefined {
  const { lineage } = request.publication;
  return lineage && fill(lineage, { account, region, name: image.Name ?? '' });
}

/** What isn't as it should be with the AMI of a target; what can't be read of it goes into `findings`. */
async function auditImage(auditing: Auditing, lying: Lying, findings: Findings): Promise<Found[]> {
  const { source, target } = auditing;
  const { place } = lying;
  const image = auditedImage(auditing);
  if (image === undefined) return [missing(auditing, lying)];
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

/** That no finished AMI of the source is there, and what is instead. */
function missing({ source, target: { existing } }: Auditing, { around, known, lineage }: Lying): Found {
  const making = existing.filter(({ State }) => State === 'pending' || State === 'available');
  const ids = making.map(({ ImageId }) => ImageId).join(', ');
  const why =
    ids === ''
      ? `there is no AMI of ${source.imageId}`
      : `no AMI of ${source.imageId} is finished; ${ids} bears the lease of a run`;
  const sourceOf = (image: Image) => tagValue(image, tagKeys.sourceAmi) ?? '';
  const members = lineage === undefined ? [] : membersOf(lineage, around.images, known);
  const others = members.filter((image) => sourceOf(image) !== source.imageId);
  const instead = others.find((image) => whyUnpublished(image) === undefined) ?? others[0];
  if (instead === undefined) return { kind: 'missing', why };
  const unpublished = whyUnpublished(instead);
  const which = unpublished === undefined ? '' : `, which ${unpublished}`;
  return { kind: 'missing', why: `${why}; instead, there is ${instead.ImageId} of ${sourceOf(instead)}${which}` };
}
