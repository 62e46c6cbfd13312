import { isImageId } from '../image.ts';
import { amiFromManifest } from '../packer.ts';
import { maxInputFileBytes } from '../text-file.ts';
import { accountId, type Reader, type ReadFile } from './reader.ts';

export type SourceImage =
  | Readonly<{ by: 'id'; id: string }>
  | Readonly<{ by: 'name'; pattern: string }>
  | Readonly<{ by: 'ssm-parameter'; name: string }>
  | Readonly<{ by: 'instance'; id: string; noReboot: boolean }>;

const sourceInputs = ['ami-id', 'ami-name', 'ami-ssm-parameter', 'packer-manifest', 'instance-id'] as const;
const instanceId = /^i-([0-9a-f]{8}|[0-9a-f]{17})$/;

/** What a Packer manifest is read with: it names an AMI for each of several regions. */
type ManifestSource = Readonly<{ region: string; readFile: ReadFile }>;

/** The source AMI, which one of five inputs names; undefined where none does. */
export function readSourceImage(reader: Reader, manifest: ManifestSource): SourceImage | undefined {
  const noReboot = reader.flag('no-reboot');
  const build = reader.optional('packer-build');
  if (build !== undefined && reader.text('packer-manifest') === '')
    reader.note('packer-build', build, 'needs packer-manifest');
  const given = sourceInputs.filter((name) => reader.text(name) !== '');
  const [name] = given;
  if (name === undefined) return undefined;
  if (given.length > 1) {
    const values = given.map((one) => reader.text(one)).join(', ');
    reader.note(given.join(', '), values, 'expected exactly one of these');
    return unnamed;
  }
  const value = reader.text(name);
  const fitting = (fits: (text: string) => boolean, expected: string) =>
    reader.checked(name, value, { fits, expected });
  const checked = (pattern: RegExp, expected: string) => fitting((text) => pattern.test(text), expected);
  const readers: Record<(typeof sourceInputs)[number], () => SourceImage> = {
    'ami-id': () => ({ by: 'id', id: fitting(isImageId, 'expected the ID of an AMI, such as ami-0123456789abcdef0') }),
    'ami-name': () => ({ by: 'name', pattern: checked(/^.{1,128}$/, 'an AMI name has at most 128 characters') }),
    // https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
    'ami-ssm-parameter': () => ({
      by: 'ssm-parameter',
      name: checked(/^[\w.:/-]{1,2048}$/, 'expected the name or the ARN of an SSM parameter'),
    }),
    'instance-id': () => ({
      by: 'instance',
      id: checked(instanceId, 'expected the ID of an instance, such as i-0123456789abcdef0'),
      noReboot,
    }),
    'packer-manifest': () => ({ by: 'id', id: readManifest(reader, value, { ...manifest, build }) }),
  };
  return readers[name]();
}

const unnamed: SourceImage = { by: 'id', id: '' };

/** Notes that no input names the source AMI; with `or`, what would do in its place. */
export function noteUnnamed(reader: Reader, or = ''): SourceImage {
  reader.note(sourceInputs.join(', '), '', `expected exactly one of these${or}`);
  return unnamed;
}

/** Who may own the source AMI: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html (Owner.N) */
export function readSourceOwners(reader: Reader): string[] {
  const owners = reader.list('source-owners');
  // To AWS, no owner is any owner.
  if (owners.length === 0) reader.note('source-owners', reader.text('source-owners'), 'names no owner');
  for (const owner of owners)
    if (!accountId.test(owner) && !['self', 'amazon', 'aws-marketplace'].includes(owner))
      reader.note('source-owners', owner, 'expected self, account IDs, amazon or aws-marketplace');
  return owners;
}

function readManifest(
  reader: Reader,
  path: string,
  { region, build, readFile }: ManifestSource & Readonly<{ build: string | undefined }>,
): string {
  try {
    return amiFromManifest(readFile(path, maxInputFileBytes), { region, build });
  } catch (error) {
    reader.note('packer-manifest', path, error instanceof Error ? error.message : String(error));
    return '';
  }
}
