import {
  CreateLaunchTemplateVersionCommand,
  DeleteLaunchTemplateVersionsCommand,
  ModifyLaunchTemplateCommand,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { errorMessage, placeName, StepError } from '../aws/errors.ts';
import {
  deleteVersions,
  readTemplate,
  setDefaultVersion,
  type TemplateFacts,
  templateVersions,
} from '../aws/launch-template.ts';
import { lookedFor } from '../aws/retry.ts';
import type { NewVersion } from '../ledger.ts';
import type { Result } from '../outcome.ts';
import type { TemplateVersion } from '../plan/operation.ts';
import { idOf, type Run, type Scope } from '../run.ts';
import { clientToken } from './client-token.ts';
import { retryOnLimit } from './limits.ts';
import { type Asking, dryRun, type Ec2Question } from './question.ts';

/** The right to make a version, to make it the default one, and to delete it where not all could be set. */
export function asksForVersion({ template, image }: TemplateVersion, { standIns }: Asking): Ec2Question[] {
  const { id: LaunchTemplateId, makesDefault } = template;
  const latest = String(template.latest);
  const ImageId = 'id' in image ? image.id : standIns.image;
  return [
    dryRun(new CreateLaunchTemplateVersionCommand({ LaunchTemplateId, LaunchTemplateData: { ImageId } })),
    ...(makesDefault ? [dryRun(new ModifyLaunchTemplateCommand({ LaunchTemplateId, DefaultVersion: latest }))] : []),
    dryRun(new DeleteLaunchTemplateVersionsCommand({ LaunchTemplateId, Versions: [latest] })),
  ];
}

/** Versions take no tags, so the description has what they would say; of so many characters at most. */
const descriptionCharacters = 255;

/** What the description of every version begins with that is made with an AMI of this source. */
export function descriptionPrefix(imageId: string): string {
  return `share-encrypted-ami: source-ami=${imageId}, `;
}

/** The description of the versions that a run makes: no other run's has the same. */
export function versionDescription({ runUrl, sha }: Run['request']['run'], imageId: string, leaseId: string): string {
  const text = `${descriptionPrefix(imageId)}lease=${leaseId}, commit=${sha}, run=${runUrl}`;
  return text.slice(0, descriptionCharacters);
}

/**
 * What a launch template is before it gets a version with the target's AMI. Where its latest version has the AMI already,
 * that one is used again, and where the default one is to have it and has it, nothing is left to do. @throws StepError
 */
export async function readNewVersion(operation: TemplateVersion, scope: Scope): Promise<NewVersion> {
  const { run } = scope;
  const { template, image, place: where } = operation;
  const place = run.accounts.target(where).until(scope.place.signal);
  const amiId = idOf(scope, image);
  try {
    const read = () => readTemplate(place, template.id, '$Latest');
    const launching = (facts: TemplateFacts) => launchingVersion(run, operation, { facts, amiId });
    // What an attempt made that was killed may not be seen yet.
    const waits = run.request.run.runAttempt > 1 ? [0, 2, 5] : [];
    const seen = await lookedFor(place, waits, async () => {
      const facts = await read();
      return launching(facts) === undefined ? undefined : facts;
    });
    const facts = seen ?? (await read());
    const { latest, defaultVersion } = facts;
    const existing = launching(facts);
    const change = { place: placeName(where), template: template.id, amiId, latest, formerDefault: defaultVersion };
    return existing === undefined ? change : { ...change, existing };
  } catch (error) {
    throw new StepError(`Reading the launch template ${template.id} in ${placeName(where)}`, error);
  }
}

/**
 * The version by which the AMI is launched already: the default one where that is to have it, else the latest one. What is
 * to become the default is a version of ours.
 */
function launchingVersion(
  run: Run,
  { template: { makesDefault } }: TemplateVersion,
  { facts, amiId }: Readonly<{ facts: TemplateFacts; amiId: string }>,
): number | undefined {
  const { defaultVersion, defaultImage, source: latest } = facts;
  if (makesDefault && defaultImage === amiId) return defaultVersion;
  const isOurs = latest.description.startsWith(descriptionPrefix(run.source.imageId));
  return latest.imageId === amiId && (isOurs || !makesDefault) ? latest.number : undefined;
}

function changeOf({ template }: TemplateVersion, { run, place }: Scope): NewVersion | undefined {
  return run.ledger.state?.versions.find((one) => one.place === placeName(place) && one.template === template.id);
}

/** Makes the version, and has the template launch by it if that is asked for. @throws StepError */
export async function makeVersion(operation: TemplateVersion, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const { id } = operation.template;
  const where = placeName(place);
  const change = changeOf(operation, scope);
  if (change === undefined) throw new Error(`what the launch template ${id} in ${where} was is not known`);
  const { amiId, existing, formerDefault } = change;
  const version = existing ?? (await create(operation, scope, change));
  if (existing !== undefined)
    run.log.line(where, `version ${version} of the launch template ${id} has ${amiId} already, and is used again`);
  if (movesDefault(operation, version, change)) {
    try {
      await setDefaultVersion(place, id, version);
    } catch (error) {
      throw new StepError(`Making version ${version} of the launch template ${id} in ${where} its default`, error);
    }
    run.log.line(where, `the launch template ${id} launches by version ${version} (before: ${formerDefault})`);
  }
  const result: Result = { id: amiId, template: { id, version, formerDefault } };
  return isNeeded(operation, change) ? result : { ...result, undone: 'not needed' };
}

function movesDefault({ template }: TemplateVersion, version: number, { formerDefault }: NewVersion): boolean {
  return template.makesDefault && version !== formerDefault;
}

/** Whether anything is done to the template: an earlier run may have done all of it. */
function isNeeded(operation: TemplateVersion, change: NewVersion): boolean {
  return change.existing === undefined || movesDefault(operation, change.existing, change);
}

/**
 * Makes the version; a repeated request gives the same one. What the source version says of snapshots does not come along,
 * so the volumes are the new AMI's: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html
 */
async function create({ template }: TemplateVersion, { run, place }: Scope, { amiId }: NewVersion): Promise<number> {
  const where = placeName(place);
  try {
    const { source } = await readTemplate(place, template.id, template.sourceVersion);
    const command = new CreateLaunchTemplateVersionCommand({
      LaunchTemplateId: template.id,
      SourceVersion: String(source.number),
      VersionDescription: versionDescription(run.request.run, run.source.imageId, run.leaseId),
      LaunchTemplateData: { ImageId: amiId },
      ClientToken: clientToken(run.leaseId, template.id, amiId),
    });
    const what = `make a version of ${template.id}`;
    const { LaunchTemplateVersion: made, Warning } = await retryOnLimit(run, { place, what }, () => place.ec2(command));
    const version = made?.VersionNumber;
    if (version === undefined) throw new Error('AWS tells no number of the new version');
    const from = `from version ${source.number}`;
    run.log.line(where, `version ${version} of the launch template ${template.id} has ${amiId} (${from})`);
    for (const { Message = '' } of Warning?.Errors ?? []) run.log.line(where, `AWS says of that version: ${Message}`);
    return version;
  } catch (error) {
    throw new StepError(`Making a version of the launch template ${template.id} with ${amiId} in ${where}`, error);
  }
}

/** The version goes, and the former default is back, where not all could be set. */
export async function undoVersion(operation: TemplateVersion, scope: Scope): Promise<boolean> {
  const { run, place } = scope;
  const change = changeOf(operation, scope);
  if (change === undefined || !isNeeded(operation, change)) return false;
  try {
    const description = versionDescription(run.request.run, run.source.imageId, run.leaseId);
    // What was made a moment ago may not be seen yet, nor what a request made whose answer was lost.
    const done = await lookedFor(place, [0, 1, 2, 4], () => takeVersionBack(place, change, description));
    if (done !== undefined) run.log.line(placeName(place), done);
    return true;
  } catch (error) {
    const what = `${operation.template.id} in ${placeName(place)}: ${errorMessage(error)}`;
    run.leave(place, `a launch template that is not as before: ${what}`);
    return false;
  }
}

/**
 * Puts the former default of a launch template back, unless somebody else has set another since, and deletes the versions
 * that the run made, by their description. Gives what was done; undefined where there was nothing to do.
 * @throws where AWS refuses
 */
export async function takeVersionBack(
  place: Place,
  { template, amiId, existing, latest, formerDefault }: NewVersion,
  description: string,
): Promise<string | undefined> {
  const isOurs = (one: Readonly<{ number: number; description: string }>) =>
    existing === undefined ? one.number > latest && one.description === description : one.number === existing;
  const ours = (await templateVersions(place, template, amiId)).filter(isOurs);
  if (ours.length === 0) return undefined;
  const { defaultVersion } = await readTemplate(place, template, '$Latest');
  const numbers = ours.map(({ number }) => number);
  const moved = numbers.includes(defaultVersion) && defaultVersion !== formerDefault;
  if (moved) await setDefaultVersion(place, template, formerDefault);
  if (existing === undefined) await deleteVersions(place, template, numbers);
  const where = `the launch template ${template} in ${placeName(place)}`;
  const done = [
    ...(moved ? [`made version ${formerDefault} the default of ${where} again`] : []),
    ...(existing === undefined ? [`deleted version ${numbers.join(', ')} of ${where} again`] : []),
  ];
  return done.length === 0 ? undefined : done.join('; ');
}
