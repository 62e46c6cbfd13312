import type { Image } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import { isHeld, whyUnlike } from './earlier.ts';
import type { Source, Target } from './facts.ts';
import type { Planning } from './planning.ts';
import { nameOfSource } from './supply-operations.ts';

/* Whether the name that an AMI is to have is free. */

/** The name must be free where an AMI is made that takes over no other's. */
export function checkName(planning: Planning, target: Target, discardImages: readonly Image[]): void {
  const { request, findings } = planning;
  const { namesake } = target;
  if (isSourceItself(planning.source, target)) {
    tellSourceItself(planning, target);
    return;
  }
  if (namesake === undefined || discardImages.some(({ ImageId }) => ImageId === namesake.ImageId)) return;
  const where = placeName(target.place);
  const taken = `the name ${JSON.stringify(target.name)} is taken by ${namesake.ImageId}`;
  const remedy = 'choose another target-ami-name, or deregister that AMI';
  const tell = (why: string, toDo: string) => findings.add(where, `${taken}${why}`, toDo);
  if (!target.existing.some(({ ImageId }) => ImageId === namesake.ImageId)) tell('', remedy);
  // Then it is told as an AMI of this source that is there.
  else if (request.onExisting === 'fail') return;
  else if (namesake.State === 'pending' || isHeld(namesake, planning.holders))
    tell(', which is being made', 'run it again when that AMI is available');
  else if (request.onExisting === 'replace')
    tell(
      ', which must stay until the new AMI is there (by route copy, as an ssm-parameter or a launch-template names it, or as the new one may fail its boot-test)',
      'give each AMI a name of its own, with {date} or {run-id} in target-ami-name',
    );
  else tell(`, an AMI of this source that differs: ${whyUnlike(planning, target, namesake)}`, remedy);
}

/** Whether the source AMI is in a target's account and region, and has the name that a copy of it is to have there. */
function isSourceItself({ place, account, image }: Source, target: Target): boolean {
  const isOwn = (image.OwnerId ?? account) === account;
  return isOwn && placeName(target.place) === placeName(place) && target.name === image.Name;
}

function tellSourceItself({ source, findings }: Planning, { place, name }: Target): void {
  const where = placeName(place);
  const called = nameOfSource({ source });
  findings.add(
    where,
    `this is where the source AMI ${called === name ? '' : `${called} `}is, and AWS gives its name ${JSON.stringify(name)} once`,
    `leave this target out (exclude-targets: ${where}), or give the copy a name of its own (ami-name in targets)`,
  );
}

export function tellExisting({ findings }: Planning, { place }: Target, others: readonly Image[]): void {
  const list = others
    .map(({ ImageId, Name, State }) => `${ImageId} (${Name}${State === 'available' ? '' : `, ${State}`})`)
    .join(', ');
  findings.add(
    placeName(place),
    `there is an AMI of this source already: ${list}`,
    'deregister it, or set on-existing to reuse or replace',
  );
}
