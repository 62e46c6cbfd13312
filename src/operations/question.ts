import type { Tag } from '@aws-sdk/client-ec2';
import { actionOf, type Ec2Command, type Place, sendEc2 } from '../aws/clients.ts';
import { entriesOn, reportsOn } from '../observe/usage-reports.ts';
import { instancesOf, referencesTo, templatesUsing } from '../observe/users.ts';
import type { Run } from '../run.ts';
import { tagPrefix } from '../tags.ts';

/** What stops an operation, by what a read has found; with no remedy, it is only worth a word. */
export type Hindrance = Readonly<{ what: string; remedy?: string }>;

/** There is nothing to ask with. */
export class UnaskedError extends Error {
  override name = 'UnaskedError';
}

type Base = Readonly<{
  /** As a policy names it: `ec2:CopySnapshot`. */
  action: string;
  /** Questions of one key differ by nothing that a policy goes by: one stands for all. */
  key: string;
  /** Whether it is a call that must not be made, but for its dry run. */
  dry: boolean;
  /** Whether it names what isn't there yet: then AWS may say nothing of permissions. */
  standsIn: boolean;
}>;

/** Asks EC2. What a read finds, it may give as a list of Hindrances. */
export type Ec2Question = Base &
  Readonly<{
    service: 'ec2';
    ask(place: Place): Promise<unknown>;
    /** The types of resources that a statement names, or none that EC2 knows; and those that are made with tags. */
    on: readonly string[];
    tagged: readonly string[];
    /** What is lost without the permission, where the run can do without it. */
    without: string | undefined;
    /** Whether it names a resource. */
    names(id: string): boolean;
  }>;

/** Asks KMS about a key, in the key's region. */
export type KeyQuestion = Base &
  Readonly<{
    service: 'kms';
    keyArn: string;
    ask(by: KeyAsker): Promise<unknown>;
    /**
     * How a denial counts: of a call that the action makes itself, it stops the run; of one that EC2 makes for it, as the
     * sets of needs and key-preflight say; of one that only the sweeping of dead runs takes, it is worth a word.
     */
    counts: 'ours' | 'through-ec2' | 'sweeping';
    /** What gets over a denial without changing the role's policy. */
    otherwise: readonly string[];
    /** What mends it in the role's policy: the action alone, or all that reading under a key takes. */
    mending: 'action' | 'reading';
    /** Whether the key is another account's, whose policy must let the role in too, or a grant, which is yet to be made. */
    foreign: boolean;
  }>;

export type KeyAsker = Readonly<{
  place: Place;
  /** A cipher text under the key that the asker, or the source role, has made. @throws where it can't be made */
  cipherText(by: 'asker' | 'source'): Promise<Uint8Array>;
}>;

export type Question = Ec2Question | KeyQuestion;

/** What the commands of an operation are made of, beside itself. */
export type Job = Pick<Run, 'request' | 'source' | 'leaseId' | 'operation'>;

/** IDs to ask with where there is no resource yet. */
type StandIns = Readonly<{ image: string; snapshot: string }>;
export type Asking = Job & Readonly<{ standIns: StandIns }>;

/**
 * IDs that no resource has, and that AWS takes for well-formed, as it doesn't any ID (recorded: DescribeImages of this one
 * says NotFound, of ami-0123456789abcdef0 Malformed). The published policies' denials leave them out.
 */
export const noResource: StandIns = { image: 'ami-0ffffffffffffffff', snapshot: 'snap-0ffffffffffffffff' };

/** The ID of a resource, or what is asked with as long as a name stands for it. */
export function idOr(standIn: string, id: string | undefined): string {
  return id !== undefined && /^(ami|snap)-[0-9a-f]+$/.test(id) ? id : standIn;
}

type Input = Readonly<{ TagSpecifications?: readonly { ResourceType?: string; Tags?: Tag[] }[] }>;

/** The question whether `command`, which is made for it, may be sent; `without` where the run can do without it. */
export function dryRun(command: Ec2Command, without?: string): Ec2Question {
  const { TagSpecifications = [] } = command.input as Input;
  const tagged = TagSpecifications.flatMap(({ ResourceType, Tags = [] }) =>
    Tags.length > 0 ? (ResourceType ?? []) : [],
  );
  const text = JSON.stringify(command.input, (name, value) => (freeTexts.includes(name) ? undefined : value));
  command.input.DryRun = true;
  const name = actionOf(command);
  const named = typesByPrefix.filter(([prefix]) => text.includes(`"${prefix}-`)).map(([, type]) => type);
  return {
    ...{ service: 'ec2', action: `ec2:${name}`, without, tagged, dry: true },
    // Lists know no resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    on: /^Describe.*(?<!Attribute)$/.test(name) ? [] : [...new Set([...named, ...tagged])],
    key: `${name} ${JSON.stringify(command.input, asPoliciesSee)}`,
    standsIn: Object.values(noResource).some((id) => text.includes(id)),
    names: (id) => text.includes(id),
    ask: (place) => sendEc2(place, command),
  };
}

/** What users word says nothing of resources. */
const freeTexts = ['Name', 'Description', 'Tags'];

const typesByPrefix = [
  ['i', 'instance'],
  ['ami', 'image'],
  ['snap', 'snapshot'],
  ['lt', 'launch-template'],
  ['amiur', 'image-usage-report'],
] as const;

/** Of tags of ours the key says all, and one ID is like another of its kind. */
function asPoliciesSee(_: string, value: unknown): unknown {
  if (typeof value === 'string') return value.replace(/\b(ami|snap)-[0-9a-f]+/g, '$1');
  const { Key } = (value ?? {}) as Tag;
  return typeof Key === 'string' && Key.startsWith(tagPrefix) ? Key : value;
}

/** A read of EC2 that the run can do without, and what stands in the way by what it found. */
export function reading(
  action: string,
  without: string,
  ask: (place: Place) => Promise<readonly Hindrance[]>,
): Ec2Question {
  const of = { service: 'ec2', action: `ec2:${action}`, key: `${action} ${without}` } as const;
  return {
    ...of,
    ask,
    without,
    on: [],
    tagged: [],
    dry: false,
    standsIn: false,
    names: () => false,
  };
}

/** Where `retain` counts AMIs, what uses an older one must be known before it goes. */
export function asksForUsers({ request, standIns }: Asking): Ec2Question[] {
  const { retain, retainShared } = request.publication;
  const reads = [instancesOf, templatesUsing, referencesTo, ...(retainShared === 'keep' ? [] : [reportsOn, entriesOn])];
  return retain === undefined ? [] : reads.map((of) => dryRun(of([standIns.image])));
}
