import { CreateLaunchTemplateVersionCommand } from '@aws-sdk/client-ec2';
import { DescribeParametersCommand, type Parameter } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { pages } from '../aws/describe.ts';
import { explainLine, StepError } from '../aws/errors.ts';
import {
  deleteVersions,
  readTemplate,
  setDefaultVersion,
  type TemplateVersionFacts,
  templateVersions,
} from '../aws/launch-template.ts';
import type { RecallRequest } from '../inputs/recall.ts';
import { joined } from '../join.ts';
import { clientToken } from '../operations/client-token.ts';
import { moveParameter, readParameter } from '../operations/parameter.ts';
import { descriptionPrefix, versionDescription } from '../operations/template-version.ts';
import { partsOf } from '../parts.ts';
import { provenance } from '../plan/decided.ts';
import { tagKeys } from '../tags.ts';
import type { Copies, Copy } from './copies.ts';
import { recordsPath } from './record.ts';

/*
 * What this action had name an AMI names another from now on: SSM parameters and launch templates. Only what holds an AMI
 * that is proven to be this action's is touched, and of launch templates only versions with a description of ours, which
 * nobody can write but by making the version.
 */

/** What became of the pointers to the AMIs of a target, each in words. */
export type Repointed = Readonly<{
  moved: readonly string[];
  failed: readonly string[];
  /** Whether one is known that still names an AMI that is meant. */
  isNamed: boolean;
}>;

export type Pointing = Readonly<{
  place: Place;
  run: RecallRequest['run'];
  copies: Copies;
  /** The source AMI whose copies are to take the AMIs' place, where the inputs name one. */
  asked: string | undefined;
  /** Names that the inputs give. */
  parameters: readonly string[];
  /** Launch templates that the inputs name, and those that name one of the AMIs in some version. */
  templates: Readonly<{ named: readonly string[]; used: readonly string[] }>;
}>;

type Notes = { moved: string[]; failed: string[]; isNamed: boolean };

/** Has what names AMIs that are meant name their replacements; what fails is told, and the rest goes on. */
export async function repoint(pointing: Pointing): Promise<Repointed> {
  const notes: Notes = { moved: [], failed: [], isNamed: false };
  await joined([moveParameters(pointing, notes), moveTemplates(pointing, notes)]);
  return notes;
}

/** Notes a failure of `act` instead of throwing it. */
async function noting(notes: Notes, doing: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    notes.failed.push(explainLine(new StepError(doing, error)));
  }
}

/** Notes that what names an AMI that is meant still does, if `act` fails. */
async function whileNamed<T>(notes: Notes, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    notes.isNamed = true;
    throw error;
  }
}

function noReplacement({ asked }: Pointing, what: string, { id }: Copy): string {
  const [which, remedy] =
    asked === undefined
      ? ['other AMI of its lineage is', 'share one and recall again, give replacement,']
      : [`copy of ${asked} is`, 'share it here and recall again, give another replacement,'];
  return `${what} still names ${id}: no ${which} published here, without a failed boot test or a recall. What to do: ${remedy} or change it by hand`;
}

async function moveParameters(pointing: Pointing, notes: Notes): Promise<void> {
  const { place, copies, parameters, run } = pointing;
  const names = new Set(parameters);
  await noting(notes, 'Looking for SSM parameters that this action has set', async () => {
    for (const name of await ownParameters(place, copies.meant)) names.add(name);
  });
  const move = (name: string) =>
    noting(notes, `Setting the SSM parameter ${name}`, async () => {
      const found = await readParameter(place, name);
      const copy = copies.meant.find(({ id }) => id === found?.Value);
      if (found === undefined || copy === undefined) return;
      const replacement = copies.replacementOf(copy);
      if (replacement === undefined) {
        notes.isNamed = true;
        notes.failed.push(noReplacement(pointing, `the SSM parameter ${name}`, copy));
        return;
      }
      const tags = provenance({ run }, replacement.sourceAmi);
      await whileNamed(notes, () => moveParameter(place, found, { amiId: replacement.id, tags }));
      notes.moved.push(`the SSM parameter ${name} holds ${replacement.id} (before: ${copy.id})`);
    });
  await joined([...names].map(move));
}

/** Of https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html */
const valuesPerFilter = 50;

/**
 * The names of the parameters whose tags say that they hold a copy of one of the sources. Tags are all that a parameter has:
 * so it is changed only where it really holds the copy.
 */
async function ownParameters(place: Place, copies: readonly Copy[]): Promise<string[]> {
  const sources = [...new Set(copies.map(({ sourceAmi }) => sourceAmi))];
  const found: Parameter[] = [];
  for (const Values of partsOf(sources, valuesPerFilter)) {
    const ParameterFilters = [{ Key: `tag:${tagKeys.sourceAmi}`, Option: 'Equals', Values }];
    const some = await pages(async (NextToken) => {
      const page = await place.ssm(new DescribeParametersCommand({ ParameterFilters, MaxResults: 50, NextToken }));
      return { items: page.Parameters ?? [], next: page.NextToken };
    });
    found.push(...some);
  }
  return found.flatMap(({ Name }) => (Name === undefined || Name.startsWith(recordsPath) ? [] : [Name]));
}

async function moveTemplates(pointing: Pointing, notes: Notes): Promise<void> {
  const { place, templates } = pointing;
  const ids = new Set(templates.used);
  for (const template of templates.named)
    await noting(notes, `Reading the launch template ${template}`, async () => {
      ids.add((await readTemplate(place, template, '$Latest')).id);
    });
  await joined(
    [...ids].map((id) => noting(notes, `Changing the launch template ${id}`, () => moveTemplate(pointing, id, notes))),
  );
}

/** A version of ours, with the AMI that it names. */
type OwnVersion = TemplateVersionFacts & Readonly<{ copy: Copy }>;

function ownVersion({ meant }: Copies, version: TemplateVersionFacts): OwnVersion[] {
  const copy = meant.find(({ id }) => id === version.imageId);
  const isOurs = copy !== undefined && version.description.startsWith(descriptionPrefix(copy.sourceAmi));
  return isOurs ? [{ ...version, copy }] : [];
}

/**
 * Has a launch template launch the replacement where it launches an AMI that is meant by a version of ours, and deletes such
 * versions, so that `$Latest` doesn't name one either. What another version than ours names stays.
 */
async function moveTemplate(pointing: Pointing, id: string, notes: Notes): Promise<void> {
  const { place, copies } = pointing;
  const all = await templateVersions(place, id);
  const own = all.flatMap((version) => ownVersion(copies, version));
  await whileNamed(notes, () => moveVersions(pointing, { id, all, own }, notes));
}

type Versions = Readonly<{ id: string; all: readonly TemplateVersionFacts[]; own: readonly OwnVersion[] }>;

async function moveVersions(pointing: Pointing, { id, all, own }: Versions, notes: Notes): Promise<void> {
  const { place, copies } = pointing;
  const newest = newestOf(all);
  const launching = own.find(({ isDefault }) => isDefault);
  const latest = own.find(({ number }) => number === newest);
  const rest: TemplateVersionFacts[] = all.filter((one) => !own.some(({ number }) => number === one.number));
  const kept = new Set<OwnVersion>();
  // The default one first: the last version that is made is the one that `$Latest` means.
  for (const pointer of new Set([launching, latest].filter((one) => one !== undefined))) {
    const replacement = copies.replacementOf(pointer.copy);
    const role = pointer === launching ? 'default' : 'latest';
    if (replacement === undefined) {
      // Without another AMI to launch, what launches stays.
      kept.add(pointer);
      notes.isNamed = true;
      notes.failed.push(noReplacement(pointing, `the launch template ${id}, by its ${role} version,`, pointer.copy));
      continue;
    }
    const there = rest.find((one) =>
      isLike(one, { pointer, replacement, newest: pointer === latest && newestOf(rest) }),
    );
    const version = there ?? (await makeVersion(pointing, id, { pointer, replacement }));
    if (there === undefined) rest.push(version);
    if (pointer === launching) await setDefaultVersion(place, id, version.number);
    const others =
      there === undefined && latest === undefined ? `; $Latest, which meant version ${newest}, means it now` : '';
    notes.moved.push(
      `the launch template ${id} has ${replacement.id} in version ${version.number}, its ${role} one${others}`,
    );
  }
  const gone = own.filter((one) => !kept.has(one)).map(({ number }) => number);
  if (gone.length === 0) return;
  await deleteVersions(place, id, gone);
  notes.moved.push(`of the launch template ${id}, version ${gone.join(', ')} with the recalled AMI is deleted`);
}

function newestOf(versions: readonly TemplateVersionFacts[]): number {
  return Math.max(...versions.map(({ number }) => number));
}

type Wanted = Readonly<{
  pointer: OwnVersion;
  replacement: Copy;
  /** The number that the version must have to be the latest one; false where it needn't be. */
  newest: number | false;
}>;

/** Whether a version is what would be made: one of ours with the replacement, and all else as the pointer has it. */
function isLike(version: TemplateVersionFacts, { pointer, replacement, newest }: Wanted): boolean {
  const isOurs = version.description.startsWith(descriptionPrefix(replacement.sourceAmi));
  const isSame = version.imageId === replacement.id && version.others === pointer.others;
  return isOurs && isSame && (newest === false || version.number === newest);
}

async function makeVersion(
  { place, run }: Pointing,
  LaunchTemplateId: string,
  { pointer, replacement }: Readonly<{ pointer: OwnVersion; replacement: Copy }>,
): Promise<TemplateVersionFacts> {
  const VersionDescription = versionDescription(run, replacement.sourceAmi, 'recall');
  const { LaunchTemplateVersion: made } = await place.ec2(
    new CreateLaunchTemplateVersionCommand({
      LaunchTemplateId,
      SourceVersion: String(pointer.number),
      VersionDescription,
      LaunchTemplateData: { ImageId: replacement.id },
      ClientToken: clientToken(run.runUrl, LaunchTemplateId, `${pointer.number} ${replacement.id}`),
    }),
  );
  const number = made?.VersionNumber;
  if (number === undefined) throw new Error('AWS tells no number of the new version');
  const { others } = pointer;
  return { number, isDefault: false, description: VersionDescription, imageId: replacement.id, others };
}
