import type { Tag } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import { describedAs } from '../image.ts';
import { maxTags, mergeTags, tagKeys } from '../tags.ts';
import { type Common, provenance } from './decided.ts';
import type { Source, Target } from './facts.ts';
import type { Expected } from './operation.ts';
import type { Planning } from './planning.ts';

/* What a target's AMI and its snapshots are to bear. */

/** What the target's AMI must be; as much of it as making it can be given. */
export function expectedOf(planning: Planning, target: Target, route: Common['route']): Expected {
  const { source, request } = planning;
  const isProtected = request.publication.deregistrationProtection !== 'off';
  const tags = planTags(planning, target, {
    of: 'the source',
    inherited: source.image.Tags ?? [],
    ours: { [tagKeys.lineage]: target.lineage ?? '' },
    // A copied image bears the run's lease while it is made, and the encrypted copy that it is of; one of a lineage, that
    // it is published, and what comes after it.
    most: maxTags - (route === 'copy' ? 2 : 0) - (target.lineage === undefined ? 0 : 2) - (isProtected ? 1 : 0),
  });
  return { key: target.kmsKeyArn, description: descriptionOf(source, target), tags };
}

function descriptionOf(source: Source, { description }: Target): string | undefined {
  return description ?? describedAs(source.image);
}

/** The tags of a copy, at most so many: the source's, the user's, and ours. */
function planTags(
  { request, source, given, findings }: Planning,
  target: Target,
  { of, inherited, ours, most }: Readonly<{ of: string; inherited: readonly Tag[]; ours: Tags; most: number }>,
): Tag[] {
  const own = { ...provenance(request, source.imageId), ...ours };
  const sources = request.copyTags ? inherited.filter(({ Key = '' }) => !given.has(Key)) : [];
  const { tags, dropped } = mergeTags(sources, { users: target.tags, ours: own }, most);
  if (dropped.length > 0)
    findings.warn(placeName(target.place), `AWS allows 50 tags; these of ${of}'s are left out: ${dropped.join(', ')}`);
  return tags;
}

type Tags = Readonly<Record<string, string>>;

/** A copied image's snapshots bear the encrypted copy that they are of, too. */
export function planSnapshotTags(planning: Planning, target: Target, route: Common['route']): Map<string, Tag[]> {
  const most = route === 'copy' ? maxTags - 1 : maxTags;
  return new Map(
    planning.source.snapshots.map(({ id, tags }) => {
      const ours = {
        [tagKeys.sourceSnapshot]: id,
        [tagKeys.kmsKey]: target.kmsKeyArn,
        [tagKeys.lease]: planning.leaseId,
      };
      return [id, planTags(planning, target, { of: id, inherited: tags, ours, most })];
    }),
  );
}
