import {
  DescribeAvailabilityZonesCommand,
  EnableFastSnapshotRestoresCommand,
  EnableImageDeprecationCommand,
  EnableImageDeregistrationProtectionCommand,
  type Image,
  ModifyImageAttributeCommand,
} from '@aws-sdk/client-ec2';
import { CreateGrantCommand, type GrantOperation } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { hasCode, placeName, StepError } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import type { Publication } from '../inputs/publication.ts';
import type { TargetPlan } from '../plan/plan.ts';
import type { Run } from '../run.ts';

/**
 * Does with a verified AMI what the inputs ask for beside it. Doing it again changes nothing more, so that an AMI that is
 * reused is brought to the same state.
 * @throws StepError
 */
export async function publish(run: Run, { target }: TargetPlan, image: Image): Promise<void> {
  const { publication } = run.request;
  const { place } = target;
  const id = image.ImageId ?? '';
  const tell = (what: string) => run.log.line(placeName(place), what);
  const step = async (name: string, act: () => Promise<string | undefined>): Promise<void> => {
    try {
      const done = await act();
      if (done !== undefined) tell(done);
    } catch (error) {
      throw new StepError(`${name} ${id} in ${placeName(place)}`, error);
    }
  };
  await Promise.all([
    step('Granting the use of the key of', () => grantKey(place, target.kmsKeyArn, target.grantKeyTo)),
    step('Letting others launch', () => letLaunch(place, id, publication)),
    step('Deprecating', () => deprecate(place, image, publication, run.request.run.date)),
    step('Protecting', () => protect(place, image, publication)),
    step('Enabling fast snapshot restore for', () => restoreFast(place, snapshotIdsOf(image), publication)),
  ]);
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

/** A service-linked role that was made a moment ago isn't a principal yet. */
const principalTries = 6;

async function grantKey(place: Place, keyArn: string, principals: readonly string[]): Promise<string | undefined> {
  for (const GranteePrincipal of principals) {
    for (let tries = 1; ; tries += 1) {
      try {
        // With the same name and parameters, KMS gives the same grant again: it is kept, and never doubled.
        await place.kms(
          new CreateGrantCommand({
            KeyId: keyArn,
            GranteePrincipal,
            Operations: launchOperations,
            Name: 'share-encrypted-ami/launch',
          }),
        );
        break;
      } catch (error) {
        if (!hasCode(error, 'InvalidArnException') || tries === principalTries) throw error;
        await place.sleep(1000 * tries);
      }
    }
  }
  return principals.length === 0 ? undefined : `${principals.join(', ')} may use ${keyArn}`;
}

async function letLaunch(place: Place, id: string, { launchPermissions }: Publication): Promise<string | undefined> {
  if (launchPermissions.length === 0) return undefined;
  await place.ec2(new ModifyImageAttributeCommand({ ImageId: id, LaunchPermission: { Add: [...launchPermissions] } }));
  const names = launchPermissions.map((one) => one.UserId ?? one.OrganizationArn ?? one.OrganizationalUnitArn);
  return `${id} may be launched by ${names.join(', ')}`;
}

async function deprecate(
  place: Place,
  { ImageId, DeprecationTime }: Image,
  { deprecateAfter }: Publication,
  date: Date,
): Promise<string | undefined> {
  if (deprecateAfter === undefined) return undefined;
  // An AMI that is used again keeps the time that was counted from its own run.
  if ('days' in deprecateAfter && DeprecationTime) return undefined;
  const DeprecateAt =
    'at' in deprecateAfter ? deprecateAfter.at : new Date(date.getTime() + deprecateAfter.days * 86_400_000);
  await place.ec2(new EnableImageDeprecationCommand({ ImageId, DeprecateAt }));
  return `${ImageId} is deprecated from ${DeprecateAt.toISOString().slice(0, 16)}Z on`;
}

async function protect(
  place: Place,
  { ImageId, DeregistrationProtection }: Image,
  { deregistrationProtection: asked }: Publication,
): Promise<string | undefined> {
  if (asked === 'off') return undefined;
  const cooldown = asked === 'on-with-cooldown';
  if (DeregistrationProtection === (cooldown ? 'enabled-with-cooldown' : 'enabled-without-cooldown')) return undefined;
  await place.ec2(new EnableImageDeregistrationProtectionCommand({ ImageId, WithCooldown: cooldown }));
  return `${ImageId} is protected from deregistration${cooldown ? ', with a cooldown' : ''}`;
}

async function restoreFast(
  place: Place,
  snapshotIds: readonly string[],
  { fastSnapshotRestore: asked }: Publication,
): Promise<string | undefined> {
  if (asked !== 'all' && asked.length === 0) return undefined;
  const { AvailabilityZones } = await place.ec2(
    new DescribeAvailabilityZonesCommand({
      Filters: [
        { Name: 'state', Values: ['available'] },
        { Name: 'zone-type', Values: ['availability-zone'] },
      ],
    }),
  );
  const there = (AvailabilityZones ?? []).flatMap(({ ZoneName }) => ZoneName ?? []);
  // One list may serve targets of several regions: each takes its own.
  const zones = asked === 'all' ? there : asked.filter((zone) => zone.slice(0, -1) === place.region);
  const unknown = zones.filter((zone) => !there.includes(zone));
  if (unknown.length > 0)
    throw new Error(
      `account ${place.account} has no availability zone ${unknown.join(', ')}; it has ${there.join(', ')}`,
    );
  if (zones.length === 0) return undefined;
  const { Unsuccessful } = await place.ec2(
    new EnableFastSnapshotRestoresCommand({ AvailabilityZones: [...zones], SourceSnapshotIds: [...snapshotIds] }),
  );
  // Part of it may fail without an error of the call.
  const failures = (Unsuccessful ?? []).flatMap(({ SnapshotId, FastSnapshotRestoreStateErrors }) =>
    (FastSnapshotRestoreStateErrors ?? []).map(
      ({ AvailabilityZone, Error: why }) => `${SnapshotId} in ${AvailabilityZone}: ${why?.Code}: ${why?.Message}`,
    ),
  );
  if (failures.length > 0) throw new Error(failures.join('; '));
  return `fast snapshot restore is on for ${snapshotIds.join(', ')} in ${zones.join(', ')}`;
}
