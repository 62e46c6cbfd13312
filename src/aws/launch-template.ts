import {
  DeleteLaunchTemplateVersionsCommand,
  DescribeLaunchTemplateVersionsCommand,
  type LaunchTemplateVersion,
  ModifyLaunchTemplateCommand,
} from '@aws-sdk/client-ec2';
import { partsOf } from '../parts.ts';
import type { Place } from './clients.ts';
import { pages, unseenMs } from './describe.ts';
import { hasCode } from './errors.ts';
import { retried } from './retry.ts';

/** A version of a launch template, as far as it matters here. */
export type TemplateVersionFacts = Readonly<{
  number: number;
  isDefault: boolean;
  description: string;
  /** An AMI's ID, or `resolve:ssm:…`; undefined where the version names none. */
  imageId: string | undefined;
  /** All else that it says, to be compared. */
  others: string;
}>;

/** A launch template: its latest and default versions, and the one that was asked for. */
export type TemplateFacts = Readonly<{
  id: string;
  latest: number;
  defaultVersion: number;
  /** What the default version launches, as a version's `imageId`. */
  defaultImage: string | undefined;
  source: TemplateVersionFacts;
}>;

/** AWS gives IDs of 8 and 17 digits; anything else is a name. */
const idForm = /^lt-([0-9a-f]{8}|[0-9a-f]{17})$/;

/** Names a launch template by its ID or its name. */
function named(template: string): { LaunchTemplateId: string } | { LaunchTemplateName: string } {
  return idForm.test(template) ? { LaunchTemplateId: template } : { LaunchTemplateName: template };
}

/**
 * A launch template, by its ID or name, and the version that `sourceVersion` names: a number, `$Latest` or `$Default`.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplateVersions.html
 * @throws AwsCallError where it isn't there, or may not be read
 */
export async function readTemplate(place: Place, template: string, sourceVersion: string): Promise<TemplateFacts> {
  const Versions = [...new Set(['$Latest', '$Default', sourceVersion])];
  const { LaunchTemplateVersions = [] } = await place.ec2(
    new DescribeLaunchTemplateVersionsCommand({ ...named(template), Versions }),
  );
  const all = LaunchTemplateVersions.map(factsOf);
  const latest = Math.max(...all.map(({ number }) => number));
  const { number: defaultVersion, imageId: defaultImage } = all.find(({ isDefault }) => isDefault) ?? {};
  const wanted = { $Latest: latest, $Default: defaultVersion }[sourceVersion] ?? Number(sourceVersion);
  const source = all.find(({ number }) => number === wanted);
  const id = LaunchTemplateVersions[0]?.LaunchTemplateId;
  if (id === undefined || source === undefined || defaultVersion === undefined)
    throw new Error(`AWS tells no version ${sourceVersion} of the launch template ${template}`);
  return { id, latest, defaultVersion, defaultImage, source };
}

function factsOf(version: LaunchTemplateVersion): TemplateVersionFacts {
  const { VersionNumber = 0, DefaultVersion = false, VersionDescription = '', LaunchTemplateData } = version;
  const { ImageId: imageId, ...others } = LaunchTemplateData ?? {};
  return {
    number: VersionNumber,
    isDefault: DefaultVersion,
    description: VersionDescription,
    imageId,
    others: JSON.stringify(Object.entries(others).sort(([one], [other]) => one.localeCompare(other))),
  };
}

/** All versions of a launch template, or those with an AMI. */
export async function templateVersions(place: Place, id: string, imageId?: string): Promise<TemplateVersionFacts[]> {
  const Filters = imageId === undefined ? undefined : [{ Name: 'image-id', Values: [imageId] }];
  const found = await pages(async (NextToken) => {
    const page = await place.ec2(
      new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateId: id, MaxResults: 200, Filters, NextToken }),
    );
    return { items: page.LaunchTemplateVersions ?? [], next: page.NextToken };
  });
  // What is found may be removed, so it isn't taken on trust that an endpoint has filtered.
  return found.map(factsOf).filter((one) => imageId === undefined || one.imageId === imageId);
}

/** Has a launch template launch by a version unless another is named. @throws AWS's last refusal */
export async function setDefaultVersion(place: Place, id: string, version: number): Promise<void> {
  const command = { LaunchTemplateId: id, DefaultVersion: String(version) };
  const isUnseen = (error: unknown) => hasCode(error, 'InvalidLaunchTemplateId.VersionNotFound');
  const wait = (count: number) => Math.min(500 * count, 5000);
  await retried({ place, on: isUnseen, forMs: unseenMs, wait }, () =>
    place.ec2(new ModifyLaunchTemplateCommand(command)),
  );
}

/** AWS answers so for each version that it could not delete. */
class UndeletedError extends Error {
  override name = 'UndeletedError';
}

/** For so long, a version may still seem to be the default one, which AWS doesn't delete. */
const undeletedMs = 15_000;

/**
 * Deletes versions of a launch template; one that is gone is deleted.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteLaunchTemplateVersions.html
 * @throws UndeletedError with AWS's words
 */
export async function deleteVersions(place: Place, id: string, versions: readonly number[]): Promise<void> {
  for (const some of partsOf(versions, versionsPerCall)) await deleteAtOnce(place, id, some);
}

/** Of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteLaunchTemplateVersions.html */
export const versionsPerCall = 200;

async function deleteAtOnce(place: Place, id: string, versions: readonly number[]): Promise<void> {
  const isUndeleted = (error: unknown) => error instanceof UndeletedError;
  await retried({ place, on: isUndeleted, forMs: undeletedMs, wait: (count) => 500 * count }, async () => {
    const { UnsuccessfullyDeletedLaunchTemplateVersions: failed = [] } = await place.ec2(
      new DeleteLaunchTemplateVersionsCommand({ LaunchTemplateId: id, Versions: versions.map(String) }),
    );
    const left = failed.filter(({ ResponseError }) => ResponseError?.Code !== 'launchTemplateVersionDoesNotExist');
    const [first] = left;
    if (first !== undefined)
      throw new UndeletedError(
        `version ${first.VersionNumber}: ${first.ResponseError?.Code}: ${first.ResponseError?.Message}`,
      );
  });
}
