import {
  EnableFastSnapshotRestoresCommand,
  type EnableFastSnapshotRestoresResult,
  EnableImageDeprecationCommand,
  EnableImageDeregistrationProtectionCommand,
  type Image,
  ModifyImageAttributeCommand,
} from '@aws-sdk/client-ec2';
import { CreateGrantCommand } from '@aws-sdk/client-kms';
import { type Ec2Command, type Place, sendEc2 } from '../aws/clients.ts';
import { placeName, StepError } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import type { Result } from '../outcome.ts';
import type { Publish, PublishSettings } from '../plan/operation.ts';
import { protectionStates } from '../plan/removal.ts';
import { launcherName } from '../plan/usage-report.ts';
import type { Scope } from '../run.ts';
import { oncePrincipalIsThere } from './allow.ts';
import { granting } from './key-questions.ts';
import { asksForLaunchers, launchOperations } from './launching.ts';
import { retryOnLimit } from './limits.ts';
import { onceSeen, patiently } from './patiently.ts';
import { protectionMark } from './protect.ts';
import { type Asking, dryRun, type Hindrance, idOr, type Question } from './question.ts';
import { refuseRecalled } from './recalled.ts';
import { refuseUnfit } from './unfit.ts';

/** A call, what it is called while it is made, and what is told of it then. */
type Step = Readonly<{ doing: string; command: Ec2Command; done: string }>;

/** What the inputs ask for beside the AMI, as far as it isn't so. */
function stepsOf(image: Image, { launchPermissions, deprecateAt, protection, zones }: PublishSettings): Step[] {
  const { ImageId } = image;
  const steps: Step[] = [];
  if (launchPermissions.length > 0) {
    const names = launchPermissions.map(launcherName);
    const done = `${ImageId} may be launched by ${names.join(', ')}`;
    const command = new ModifyImageAttributeCommand({ ImageId, LaunchPermission: { Add: [...launchPermissions] } });
    steps.push({ doing: 'Letting others launch', command, done });
  }
  // An AMI that is used again keeps the time that was counted from its own run.
  if (deprecateAt !== undefined && !(deprecateAt.keep && image.DeprecationTime)) {
    const DeprecateAt = new Date(deprecateAt.at);
    const done = `${ImageId} is deprecated from ${DeprecateAt.toISOString().slice(0, 16)}Z on`;
    steps.push({ doing: 'Deprecating', command: new EnableImageDeprecationCommand({ ImageId, DeprecateAt }), done });
  }
  const WithCooldown = protection === 'on-with-cooldown';
  if (protection !== 'off' && image.DeregistrationProtection !== protectionStates[protection]) {
    const command = new EnableImageDeregistrationProtectionCommand({ ImageId, WithCooldown });
    const done = `${ImageId} is protected from deregistration${WithCooldown ? ', with a cooldown' : ''}`;
    steps.push({ doing: 'Protecting', command, done });
    const mark = protectionMark(ImageId ?? '', protection);
    steps.push({ doing: 'Marking the protection of', command: mark, done: `${ImageId} bears the mark of that` });
  }
  if (zones.length > 0) {
    const SourceSnapshotIds = snapshotIdsOf(image);
    const command = new EnableFastSnapshotRestoresCommand({ AvailabilityZones: [...zones], SourceSnapshotIds });
    const done = `fast snapshot restore is on for ${SourceSnapshotIds.join(', ')} in ${zones.join(', ')}`;
    steps.push({ doing: 'Enabling fast snapshot restore for', command, done });
  }
  return steps;
}

export function asksToPublish({ of: [of], place, settings }: Publish, { standIns }: Asking): Question[] {
  const BlockDeviceMappings = [{ Ebs: { SnapshotId: standIns.snapshot } }];
  const steps = stepsOf({ ImageId: idOr(standIns.image, of), BlockDeviceMappings }, settings);
  return [
    ...steps.map(({ command }) => dryRun(command)),
    ...settings.grantKeyTo.map((principal) => granting(launchGrant(settings, principal), absenceOf(principal))),
    ...asksForLaunchers(settings, place.account),
  ];
}

/** A service-linked role must be there before it is given a grant. */
function absenceOf(principal: string): Hindrance {
  const service = /\/aws-service-role\/([^/]+)\//.exec(principal)?.[1];
  const create = `create it: aws iam create-service-linked-role --aws-service-name ${service}`;
  const remedy = service === undefined ? 'create it, or correct grant-key-to' : create;
  return { what: `${principal} (grant-key-to) is not there`, remedy };
}

/**
 * Does with a verified AMI what the inputs ask for beside it. Doing it again changes nothing more, so that an AMI that is
 * reused is brought to the same state.
 * @throws StepError
 */
export async function publish({ image: ref, settings }: Publish, scope: Scope): Promise<Result> {
  const { run, place, resultOf } = scope;
  const made = 'madeBy' in ref ? resultOf(ref.madeBy) : undefined;
  if (made?.image === undefined) throw new Error('there is no image to publish');
  const { image } = made;
  await joined([refuseRecalled(run), refuseUnfit(scope, made)]);
  const step = async (doing: string, done: string, act: () => Promise<unknown>): Promise<void> => {
    try {
      const seen = () => patiently(place, () => onceSeen(place, act));
      await retryOnLimit(run, { place, what: `publish ${image.ImageId}` }, seen);
      run.log.line(placeName(place), done);
    } catch (error) {
      throw new StepError(`${doing} ${image.ImageId} in ${placeName(place)}`, error);
    }
  };
  const { key, grantKeyTo } = settings;
  const granted = `${grantKeyTo.join(', ')} may use ${key}`;
  await joined([
    ...(grantKeyTo.length === 0
      ? []
      : [step('Granting the use of the key of', granted, () => grantKey(place, settings))]),
    ...stepsOf(image, settings).map(({ doing, command, done }) =>
      step(doing, done, async () => throwFailures(await sendEc2(place, command))),
    ),
  ]);
  return made;
}

/** The name of every grant that `grant-key-to` makes. */
export const launchGrantName = 'share-encrypted-ami/launch';

/** With the same name and parameters, KMS gives the same grant again: it is kept, and never doubled. */
function launchGrant({ key: KeyId }: PublishSettings, GranteePrincipal: string): CreateGrantCommand {
  return new CreateGrantCommand({ KeyId, GranteePrincipal, Operations: launchOperations, Name: launchGrantName });
}

async function grantKey(place: Place, settings: PublishSettings): Promise<void> {
  for (const principal of settings.grantKeyTo)
    await oncePrincipalIsThere(place, () => place.kms(launchGrant(settings, principal)));
}

/** Part of enabling fast snapshot restore may fail without an error of the call. */
function throwFailures({ Unsuccessful = [] }: EnableFastSnapshotRestoresResult): void {
  const failures = Unsuccessful.flatMap(({ SnapshotId, FastSnapshotRestoreStateErrors = [] }) =>
    FastSnapshotRestoreStateErrors.map(
      ({ AvailabilityZone, Error: why }) => `${SnapshotId} in ${AvailabilityZone}: ${why?.Code}: ${why?.Message}`,
    ),
  );
  if (failures.length > 0) throw new Error(failures.join('; '));
}
