import {
  EnableFastSnapshotRestoresCommand,
  EnableImageDeprecationCommand,
  EnableImageDeregistrationProtectionCommand,
  type Image,
  ModifyImageAttributeCommand,
} from '@aws-sdk/client-ec2';
import { CreateGrantCommand, type GrantOperation } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { placeName, StepError } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import type { Result } from '../outcome.ts';
import type { Publish, PublishSettings } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { oncePrincipalIsThere } from './allow.ts';
import { granting } from './key-questions.ts';
import { type Asking, dryRun, type Hindrance, idOr, type Question } from './question.ts';

/**
 * Does with a verified AMI what the inputs ask for beside it. Doing it again changes nothing more, so that an AMI that is
 * reused is brought to the same state.
 * @throws StepError
 */
export async function publish({ image: ref, settings }: Publish, { run, place, resultOf }: Scope): Promise<Result> {
  const made = 'madeBy' in ref ? resultOf(ref.madeBy) : undefined;
  if (made?.image === undefined) throw new Error('there is no image to publish');
  const { image } = made;
  const id = image.ImageId ?? '';
  const step = async (name: string, act: () => Promise<string | undefined>): Promise<void> => {
    try {
      const done = await act();
      if (done !== undefined) run.log.line(placeName(place), done);
    } catch (error) {
      throw new StepError(`${name} ${id} in ${placeName(place)}`, error);
    }
  };
  await joined([
    step('Granting the use of the key of', () => grantKey(place, settings)),
    step('Letting others launch', () => letLaunch(place, id, settings)),
    step('Deprecating', () => deprecate(place, image, settings)),
    step('Protecting', () => protect(place, image, settings)),
    step('Enabling fast snapshot restore for', () => restoreFast(place, snapshotIdsOf(image), settings)),
  ]);
  return made;
}

export function asksToPublish({ of: [of], settings }: Publish, { standIns }: Asking): Question[] {
  const { key, grantKeyTo, launchPermissions, deprecateAt, protection, zones } = settings;
  const id = idOr(standIns.image, of);
  return [
    ...(deprecateAt === undefined ? [] : [dryRun(deprecateCommand(id, deprecateAt.at), ['image'])]),
    ...(protection === 'off' ? [] : [dryRun(protectCommand(id, protection), ['image'])]),
    ...(launchPermissions.length === 0 ? [] : [dryRun(launchCommand(id, launchPermissions), ['image'])]),
    ...(zones.length === 0 ? [] : [dryRun(restoreCommand([standIns.snapshot], zones), ['snapshot'])]),
    ...grantKeyTo.map((principal) => granting(launchGrant(key, principal), absenceOf(principal))),
  ];
}

/** A service-linked role must be there before it is given a grant. */
function absenceOf(principal: string): Hindrance {
  const service = /\/aws-service-role\/([^/]+)\//.exec(principal)?.[1];
  return {
    what: `${principal} (grant-key-to) is not there`,
    remedy:
      service === undefined
        ? 'create it, or correct grant-key-to'
        : `create it: aws iam create-service-linked-role --aws-service-name ${service}`,
  };
}

/**
 * What launching from an encrypted AMI takes on its key.
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
 */
const launchOperations: GrantOperation[] = [
  'Encrypt',
  'Decrypt',
  'ReEncryptFrom',
  'ReEncryptTo',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'DescribeKey',
  'CreateGrant',
];

/** With the same name and parameters, KMS gives the same grant again: it is kept, and never doubled. */
function launchGrant(KeyId: string, GranteePrincipal: string): CreateGrantCommand {
  const Name = 'share-encrypted-ami/launch';
  return new CreateGrantCommand({ KeyId, GranteePrincipal, Operations: launchOperations, Name });
}

async function grantKey(place: Place, { key, grantKeyTo }: PublishSettings): Promise<string | undefined> {
  for (const principal of grantKeyTo) await oncePrincipalIsThere(place, () => place.kms(launchGrant(key, principal)));
  return grantKeyTo.length === 0 ? undefined : `${grantKeyTo.join(', ')} may use ${key}`;
}

function launchCommand(ImageId: string, launchPermissions: PublishSettings['launchPermissions']) {
  return new ModifyImageAttributeCommand({ ImageId, LaunchPermission: { Add: [...launchPermissions] } });
}

async function letLaunch(
  place: Place,
  id: string,
  { launchPermissions }: PublishSettings,
): Promise<string | undefined> {
  if (launchPermissions.length === 0) return undefined;
  await place.ec2(launchCommand(id, launchPermissions));
  const names = launchPermissions.map((one) => one.UserId ?? one.OrganizationArn ?? one.OrganizationalUnitArn);
  return `${id} may be launched by ${names.join(', ')}`;
}

async function deprecate(
  place: Place,
  { ImageId, DeprecationTime }: Image,
  { deprecateAt }: PublishSettings,
): Promise<string | undefined> {
  // An AMI that is used again keeps the time that was counted from its own run.
  if (deprecateAt === undefined || (deprecateAt.keep && DeprecationTime)) return undefined;
  await place.ec2(deprecateCommand(ImageId, deprecateAt.at));
  return `${ImageId} is deprecated from ${new Date(deprecateAt.at).toISOString().slice(0, 16)}Z on`;
}

function deprecateCommand(ImageId: string | undefined, at: number): EnableImageDeprecationCommand {
  return new EnableImageDeprecationCommand({ ImageId, DeprecateAt: new Date(at) });
}

function protectCommand(ImageId: string | undefined, asked: PublishSettings['protection']) {
  const WithCooldown = asked === 'on-with-cooldown';
  return new EnableImageDeregistrationProtectionCommand({ ImageId, WithCooldown });
}

async function protect(
  place: Place,
  { ImageId, DeregistrationProtection }: Image,
  { protection: asked }: PublishSettings,
): Promise<string | undefined> {
  if (asked === 'off') return undefined;
  const cooldown = asked === 'on-with-cooldown';
  if (DeregistrationProtection === (cooldown ? 'enabled-with-cooldown' : 'enabled-without-cooldown')) return undefined;
  await place.ec2(protectCommand(ImageId, asked));
  return `${ImageId} is protected from deregistration${cooldown ? ', with a cooldown' : ''}`;
}

function restoreCommand(snapshotIds: readonly string[], zones: readonly string[]) {
  return new EnableFastSnapshotRestoresCommand({ AvailabilityZones: [...zones], SourceSnapshotIds: [...snapshotIds] });
}

async function restoreFast(
  place: Place,
  snapshotIds: readonly string[],
  { zones }: PublishSettings,
): Promise<string | undefined> {
  if (zones.length === 0) return undefined;
  const { Unsuccessful } = await place.ec2(restoreCommand(snapshotIds, zones));
  // Part of it may fail without an error of the call.
  const failures = (Unsuccessful ?? []).flatMap(({ SnapshotId, FastSnapshotRestoreStateErrors }) =>
    (FastSnapshotRestoreStateErrors ?? []).map(
      ({ AvailabilityZone, Error: why }) => `${SnapshotId} in ${AvailabilityZone}: ${why?.Code}: ${why?.Message}`,
    ),
  );
  if (failures.length > 0) throw new Error(failures.join('; '));
  return `fast snapshot restore is on for ${snapshotIds.join(', ')} in ${zones.join(', ')}`;
}
