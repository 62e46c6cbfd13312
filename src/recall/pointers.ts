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
import { provenance } from '../plan/decided.ts';
import { tagKeys } from '../tags.ts';
import type { Copies, Copy } from './copies.ts';

/*
 * What this action had name an AMI names another from now on: SSM parameters and launch templates. Only what holds an AMI
 * that is proven to be this action's is touched, and of launch templates only versions with a description of ours, which
 * nobody can write but by making the version.
 */

/** What became of the pointers to the AMIs of a target, each in words. */
export type Repointed = Readonly<{ moved: readonly string[]; failed: readonly string[] }>;

export type Pointing = Readonly<{
  place: Place;
  run: RecallRequest['run'];
  copies: Copies;
  /** Names that the inputs give. */
  parameter: string | undefined;
  template: string | undefined;
  /** Launch templates that name one of the AMIs in some version. */
  templates: readonly string[];
}>;

type Notes = { moved: string[]; failed: string[] };

/** Has what names AMIs that are meant name their replacements; what fails is told, and the rest goes on. */
export async function repoint(pointing: Pointing): Promise<Repointed> {
  const notes: Notes = { moved: [], failed: [] };
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

const noReplacement = (what: string, { id }: Copy): string =>
  `${what} still names ${id}: no other AMI of its lineage is published here. What to do: share one and recall again, give replacement, or change it by hand`;

async function moveParameters(pointing: Pointing, notes: Notes): Promise<void> {
  const { place, copies, parameter, run } = pointing;
  const names = new Set(parameter === undefined ? [] : [parameter]);
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
        notes.failed.push(noReplacement(`the SSM parameter ${name}`, copy));
        return;
      }
      const tags = provenance({ run }, replacement.sourceAmi);
      await moveParameter(place, found, { amiId: replacement.id, tags });
      notes.moved.push(`the SSM parameter ${name} holds ${replacement.id} (before: ${copy.id})`);
    });
  await joined([...names].map(move));
}

/** The names of the parameters that bear this action's tag of one of the sources. */
async function ownParameters(place: Place, copies: readonly Copy[]): Promise<string[]> {
  const Values = [...new Set(copies.map(({ sourceAmi }) => sourceAmi))];
  const ParameterFilters = [{ Key: `tag:${tagKeys.sourceAmi}`, Option: 'Equals', Values }];
  const found = await pages<Parameter>(async (NextToken) => {
    const page = await place.ssm(new DescribeParametersCommand({ ParameterFilters, MaxResults: 50, NextToken }));
    return { items: page.Parameters ?? [], next: page.NextToken };
  });
  // The records of recalls bear the tag, too.
  return found.flatMap(({ Name }) => (Name === undefined || Name.startsWith('/share-encrypted-ami/') ? [] : [Name]));
}

async function moveTemplates(pointing: Pointing, notes: Notes): Promise<void> {
  const { place, template, templates } = pointing;
  const ids = new Set(templates);
  if (template !== undefined)
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
  const newest = Math.max(...all.map(({ number }) => number));
  const [latest, launching] = [own.find(({ number }) => number === newest), own.find(({ isDefault }) => isDefault)];
  const pointer = latest ?? launching;
  const replacement = pointer && copies.replacementOf(pointer.copy);
  if (pointer !== undefined && replacement === undefined)
    notes.failed.push(
      noReplacement(`the launch template ${id}, by its ${launching ? 'default' : 'latest'} version,`, pointer.copy),
    );
  if (pointer !== undefined && replacement !== undefined) {
    const rest = all.filter((one) => !own.some(({ number }) => number === one.number));
    const there = fittingVersion(rest, { amiId: replacement.id, isLatest: latest !== undefined });
    const version = there ?? (await makeVersion(pointing, id, { pointer, replacement }));
    if (launching !== undefined) await setDefaultVersion(place, id, version);
    const asDefault = launching === undefined ? '' : ', its default one';
    notes.moved.push(`the launch template ${id} has ${replacement.id} in version ${version}${asDefault}`);
  }
  // Without another AMI to launch, what launches stays.
  const kept = replacement === undefined ? [latest, launching] : [];
  const gone = own.filter((one) => !kept.includes(one)).map(({ number }) => number);
  if (gone.length === 0) return;
  await deleteVersions(place, id, gone);
  notes.moved.push(`of the launch template ${id}, version ${gone.join(', ')} with the recalled AMI is deleted`);
}

/** A version that has the AMI already; where it is to be the latest one, none may be newer. */
function fittingVersion(
  rest: readonly TemplateVersionFacts[],
  { amiId, isLatest }: Readonly<{ amiId: string; isLatest: boolean }>,
): number | undefined {
  const newest = Math.max(...rest.map(({ number }) => number));
  const fitting = rest.filter((one) => one.imageId === amiId && (!isLatest || one.number === newest));
  return fitting.length === 0 ? undefined : Math.max(...fitting.map(({ number }) => number));
}

async function makeVersion(
  { place, run }: Pointing,
  LaunchTemplateId: string,
  { pointer, replacement }: Readonly<{ pointer: OwnVersion; replacement: Copy }>,
): Promise<number> {
  const { LaunchTemplateVersion: made } = await place.ec2(
    new CreateLaunchTemplateVersionCommand({
      LaunchTemplateId,
      SourceVersion: String(pointer.number),
      VersionDescription: versionDescription(run, replacement.sourceAmi, 'recall'),
      LaunchTemplateData: { ImageId: replacement.id },
      ClientToken: clientToken(run.runUrl, LaunchTemplateId, `${pointer.number} ${replacement.id}`),
    }),
  );
  const version = made?.VersionNumber;
  if (version === undefined) throw new Error('AWS tells no number of the new version');
  return version;
}
