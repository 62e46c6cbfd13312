import { isRecord, isText, parseJson } from './plain-data.ts';

/*
 * The file of Packer's manifest post-processor: https://developer.hashicorp.com/packer/docs/post-processors/manifest
 * `builds` has an entry for each build of each run; `last_run_uuid` names the run that wrote last. An Amazon builder's
 * `artifact_id` is `region:ami-id`, with commas between several.
 */

/** Which AMI of the last run: the one in this region, of the build of this name where several have one there. */
type Wanted = Readonly<{ region: string; build: string | undefined }>;

type Artifact = Readonly<{ build: string; region: string; amiId: string }>;

/** The AMI that Packer's last run made. @throws Error that says what is wrong with the manifest */
export function amiFromManifest(text: string, { region, build }: Wanted): string {
  const manifest = parse(text);
  const lastRun = manifest.last_run_uuid;
  if (typeof lastRun !== 'string' || !Array.isArray(manifest.builds)) {
    throw new Error('it is no manifest of Packer: it has no builds and last_run_uuid');
  }
  const all = manifest.builds.flatMap((one: unknown) => artifactsOf(one, lastRun));
  if (all.length === 0) throw new Error(`its last run (${lastRun}) has no AMI`);
  const artifacts = all.filter((artifact) => build === undefined || artifact.build === build);
  if (artifacts.length === 0)
    throw new Error(`its last run has no AMI of a build named ${build}; it made ${listOf(all)}`);
  const here = artifacts.filter((artifact) => artifact.region === region);
  const [amiId, ...more] = new Set(here.map((artifact) => artifact.amiId));
  if (amiId === undefined)
    throw new Error(`its last run made no AMI in source-region ${region}; it made ${listOf(artifacts)}`);
  if (more.length > 0) {
    const areNamed = new Set(here.map((artifact) => artifact.build)).size > 1;
    const which = areNamed ? 'name one build in packer-build' : 'the builds have one name, so give its ID as ami-id';
    throw new Error(
      `its last run made ${more.length + 1} AMIs in ${region}, and one can be shared at a time; ${which}: ${listOf(here)}`,
    );
  }
  return amiId;
}

function listOf(artifacts: readonly Artifact[]): string {
  return artifacts.map(({ build, region, amiId }) => `${region}:${amiId} (${build || 'without a name'})`).join(', ');
}

function parse(text: string): Record<string, unknown> {
  const value = parseJson(text);
  if (!isRecord(value)) throw new Error('it is not a JSON object');
  return value;
}

function artifactsOf(build: unknown, run: string): Artifact[] {
  if (typeof build !== 'object' || build === null) return [];
  const { name, packer_run_uuid, artifact_id } = build as Record<string, unknown>;
  if (packer_run_uuid !== run || typeof artifact_id !== 'string') return [];
  return artifact_id.split(',').flatMap((artifact) => {
    const [region, amiId, ...more] = artifact.trim().split(':');
    const isAmi = region !== undefined && amiId !== undefined && more.length === 0 && /^ami-[0-9a-f]+$/.test(amiId);
    return isAmi ? [{ build: isText(name) ? name : '', region, amiId }] : [];
  });
}
