import { problemLine } from '../alike.ts';
import type { Place } from '../aws/clients.ts';
import type { AuditRequest } from '../inputs/audit.ts';
import type { SourceImage } from '../inputs/source-image.ts';
import type { Request } from '../inputs.ts';
import { joined } from '../join.ts';
import type { Known } from '../plan/evidence.ts';
import type { Source, Target } from '../plan/facts.ts';
import { whyUnpublished } from '../plan/lineage.ts';
import { copiesOf, ownIntermediates } from '../plan/ours.ts';
import { type Findings, openFindings } from '../plan/problem.ts';
import { tagKeys, tagValue } from '../tags.ts';
import type { Accounts } from './accounts.ts';
import { readIntermediates } from './intermediates.ts';
import { type Held, heldMembers, readLineage, readNewest } from './lineage.ts';
import { resolveSource } from './source.ts';
import { observeTargets } from './target.ts';

/* What an audit compares with what: each target with a source AMI that the inputs name, or that is the newest of a lineage. */

export type Compared = Readonly<{
  source: Source;
  targets: readonly Target[];
  /** With the lineage alone, what each target has of it, by its name. */
  held: ReadonlyMap<string, Held>;
}>;

/**
 * Who asks; the `source` account in the source region, if it can be reached; and `aside`, what can't be read there. Before
 * each stage of reading, `next` is called.
 */
export type Comparing = Readonly<{
  request: AuditRequest;
  accounts: Accounts;
  findings: Findings;
  source: Place | undefined;
  aside: Findings;
  next: () => void;
}>;

/** What is compared; undefined after findings that say why there is nothing to compare with. */
export function observeCompared(comparing: Comparing): Promise<Compared | undefined> {
  const { request, next } = comparing;
  const { image } = request;
  next();
  return image === undefined ? byLineage(comparing) : byName(comparing, image);
}

/** Reads nothing that only a share needs: its keys, hubs, boot test, and what it may remove. */
function readingOf({ request }: Comparing, image: SourceImage): Request {
  const none = { ssmParameter: undefined, launchTemplate: undefined, boot: undefined, lineage: undefined };
  const publication = { ...request.publication, ...none, retain: undefined };
  const source = { ...request.source, kmsKey: undefined };
  return { ...request, image, source, publication, scan: undefined, onExisting: 'reuse', topology: 'direct' };
}

async function byName(comparing: Comparing, image: SourceImage): Promise<Compared | undefined> {
  const { accounts, findings } = comparing;
  const observing = { request: readingOf(comparing, image), accounts, findings };
  const finding = comparing.source === undefined ? undefined : resolveSource(observing, 'compare');
  const [source, targets] = await joined([
    Promise.resolve(finding),
    observeTargets(observing, Promise.resolve(finding)),
  ]);
  return source && { source, targets, held: new Map() };
}

async function byLineage(comparing: Comparing): Promise<Compared | undefined> {
  const { request, accounts, findings, source: place, aside, next } = comparing;
  const held = await readLineage({ request, accounts, findings });
  next();
  const id = await readNewest(held.values(), place, aside);
  if (id === undefined) {
    noteNone(comparing, held);
    return undefined;
  }
  const observing = { request: readingOf(comparing, { by: 'id', id }), accounts, findings };
  const found = place && (await resolveSource({ ...observing, findings: aside }, 'compare'));
  next();
  const source = found ?? standIn(request, id, problemLine(aside.problems));
  return { source, targets: await observeTargets(observing, Promise.resolve(source)), held };
}

/** So many AMIs are told of that aren't what was looked for. */
const toldImages = 5;

function noteNone({ request, findings }: Comparing, held: ReadonlyMap<string, Held>): void {
  const { lineage = '' } = request.publication;
  const there = [...held].flatMap(([name, one]) =>
    heldMembers(one).map((image) => {
      const why = whyUnpublished(image) ?? `is of ${tagValue(image, tagKeys.sourceAmi)}, which was recalled`;
      return `${image.ImageId} in ${name} ${why}`;
    }),
  );
  const told = there.slice(0, toldImages).join('; ');
  const more = there.length > toldImages ? ` and ${there.length - toldImages} more` : '';
  const read = held.size === request.targets.length ? 'no target' : 'no target that could be read';
  findings.add(
    'lineage',
    `${read} has a published AMI of the lineage ${lineage}${told && `: ${told}${more}`}`,
    'share one with this lineage, or name the source AMI, such as by ami-id',
  );
}

/**
 * Stands for a source AMI that can't be read: nothing is known but its ID. What holds its name is left as it was asked for,
 * and not compared.
 */
function standIn({ source: { region } }: AuditRequest, imageId: string, unread: string): Source {
  return {
    ...{ imageId, image: { ImageId: imageId, Name: '{name}' }, unread },
    ...{ place: { account: '', region }, account: '', snapshots: [], extras: { uefiData: undefined } },
    ...{ instanceId: undefined, earlierTry: undefined, kmsKeyArn: undefined },
  };
}

/** The encrypted copies that are there of the source AMI, in its own region. */
export async function readCopies({ accounts, aside }: Comparing, source: Source): Promise<Known['parents']> {
  if (source.unread !== undefined) return new Map();
  const found = await readIntermediates({ accounts, findings: aside }, source, source.place.region);
  const intermediates = new Map([found]);
  return copiesOf(source, ownIntermediates({ source, intermediates }, openFindings(aside.signal)));
}
