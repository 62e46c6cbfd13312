/*
 * The file of Packer's manifest post-processor: https://developer.hashicorp.com/packer/docs/post-processors/manifest
 * `builds` has an entry for each build of each run; `last_run_uuid` names the run that wrote last. An Amazon builder's
 * `artifact_id` is `region:ami-id`, with commas between several.
 */

/** The AMI in `region` that Packer's last run made. @throws Error that says what is wrong with the manifest */
export function amiFromManifest(text: string, region: string): string {
  const manifest = parse(text);
  const lastRun = manifest.last_run_uuid;
  if (typeof lastRun !== 'string' || !Array.isArray(manifest.builds)) {
    throw new Error('it is no manifest of Packer: it has no builds and last_run_uuid');
  }
  const artifacts = manifest.builds.flatMap((build: unknown) => artifactsOf(build, lastRun));
  if (artifacts.length === 0) throw new Error(`its last run (${lastRun}) has no AMI`);
  const here = [...new Set(artifacts.filter((artifact) => artifact.region === region).map(({ amiId }) => amiId))];
  const [amiId] = here;
  const list = artifacts.map((artifact) => `${artifact.region}:${artifact.amiId}`).join(', ');
  if (amiId === undefined) throw new Error(`its last run made no AMI in source-region ${region}; it made ${list}`);
  if (here.length > 1)
    throw new Error(`its last run made ${here.length} AMIs in ${region}, and one can be shared at a time: ${list}`);
  return amiId;
}

function parse(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is not a JSON object');
  return value as Record<string, unknown>;
}

function artifactsOf(build: unknown, run: string): { region: string; amiId: string }[] {
  if (typeof build !== 'object' || build === null) return [];
  const { packer_run_uuid, artifact_id } = build as Record<string, unknown>;
  if (packer_run_uuid !== run || typeof artifact_id !== 'string') return [];
  return artifact_id.split(',').flatMap((artifact) => {
    const [region, amiId, ...more] = artifact.trim().split(':');
    const isAmi = region !== undefined && amiId !== undefined && more.length === 0 && /^ami-[0-9a-f]+$/.test(amiId);
    return isAmi ? [{ region, amiId }] : [];
  });
}
