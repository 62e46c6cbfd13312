/*
 * What AWS's words tell of a denial: who was denied what, by which kind of policy, and what to do about that kind.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
 */

import { type Lack, parametersFor, type Side, templateFirst } from './template-parameters.ts';

/** A statement as it may be put into a policy. */
export function statement(action: string | readonly string[], resources: readonly string[]): string {
  return JSON.stringify({
    Effect: 'Allow',
    Action: action,
    Resource: resources.length === 1 ? resources[0] : resources,
  });
}

/** Who was denied what, and on what, where its ARN is told: KMS says "this resource" of another account's key. */
export function deniedIn(
  words: string,
): { principal: string; action: string; resource: string | undefined } | undefined {
  const found = /User: (\S+) is not authorized to perform: (\w+:\w+)(?: on resource: (arn:\S+))?/.exec(words);
  if (found === null) return undefined;
  const [, principal = '', action = '', resource] = found;
  // A session is told by its role: arn:aws:sts::111111111111:assumed-role/ami-source/session
  const role = principal.replace(/^arn:([^:]+):sts::(\d+):assumed-role\/([^/]+)\/.*$/, 'arn:$1:iam::$2:role/$3');
  return { principal: role, action, resource };
}

/** The kinds of policies that deny, by AWS's words for them, and where each is changed. */
const policyKinds = {
  'identity-based policy': 'the policies of the role',
  'permissions boundary': "the role's permissions boundary",
  'session policy':
    'the session policy that the session was made with: what made the credentials in the environment may have passed one (inline-session-policy, managed-session-policies)',
  'service control policy': "the organization's service control policies (SCP), which its management account changes",
  'resource control policy': "the organization's resource control policies (RCP), which its management account changes",
  'VPC endpoint policy': "the policy of the VPC endpoint that the runner's calls go through",
  'resource-based policy': "the resource's own policy",
} as const;

/** A kind of policy, in the words that IAM has for it. */
export type PolicyKind = keyof typeof policyKinds;

const kinds = Object.keys(policyKinds) as PolicyKind[];

/** Which kind of policy denied: one that lacks an allowing statement, or one that has a denying one. */
export function policyIn(words: string): Readonly<{ kind: PolicyKind; explicit: boolean }> | undefined {
  const [, explicit, lacking] =
    /(?:with an explicit deny in (?:an? )?([\w -]+?policy|permissions boundary)|because no ([\w -]+?policy|permissions boundary) allows)/i.exec(
      words,
    ) ?? [];
  const named = (explicit ?? lacking)?.toLowerCase();
  const kind = kinds.find((one) => one.toLowerCase() === named);
  return kind && { kind, explicit: explicit !== undefined };
}

/** Whether what denied is that no policy of a kind allows it. */
export function lacksIn(words: string, kind: PolicyKind): boolean {
  const policy = policyIn(words);
  return policy?.kind === kind && !policy.explicit;
}

/** An organization's tag policy refuses a tag: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_tag-policies-enforcement.html */
export const tagPolicyCode = 'TagPolicyViolation';

/** What to do about it; AWS names the tag's key. */
export const tagPolicyRemedy =
  "give that key the spelling and a value that the policy allows, in tags or intermediate-tags; a tag of the source's own is overridden by one of tags, and left out with copy-tags: false. What is allowed: aws organizations describe-effective-policy --policy-type TAG_POLICY, in that account";

/** These make what organizations demand tags of. */
const creating = /^ec2:(CopyImage|CopySnapshot|CreateImage|RegisterImage|CreateTags)$/;

/** These remove what is there, and published policies deny them on what isn't this action's own. */
const guarded = /^ec2:(DeregisterImage|DeleteSnapshot|DeleteTags|CreateTags|Modify\w+|Enable\w+|Disable\w+)$/;

/** What a denial takes to be mended; `whose` is the policy of the principal that was denied. */
export type Denial = Lack & Readonly<{ whose: string; words: string }>;

/** What to do about a denial, by the kind of policy that it comes from. */
export function denialRemedy(denial: Denial): string {
  const remedy = remedyByKind(denial);
  // Nothing else passes a role.
  return denial.action === 'iam:PassRole'
    ? `the instance of boot-test gets ${denial.resources[0]} by boot-instance-profile; ${remedy}`
    : remedy;
}

function remedyByKind(denial: Denial): string {
  const { whose, action, resources, words } = denial;
  const policy = policyIn(words);
  const allowing = statement(action, resources);
  const add = templateFirst(parametersFor(denial), `add to ${whose}: ${allowing}`);
  if (policy === undefined) return words.includes('explicit deny') ? `${add}, and see which policy denies it` : add;
  const { kind, explicit } = policy;
  if (kind === 'identity-based policy') return explicit ? guardRemedy(whose, action) : add;
  if (kind === 'resource-based policy' && !explicit) return `${add}; and the key's policy, or a grant, must let it`;
  const where = policyKinds[kind];
  return explicit
    ? `no statement that allows ${action} helps: it is denied by ${where}. Have it excepted there for this role${creating.test(action) ? '; or, where tags are demanded of what is made, give them in tags (or intermediate-tags, if those are set)' : ''}`
    : `have ${action} allowed by ${where}: ${allowing}`;
}

function guardRemedy(whose: string, action: string): string {
  return guarded.test(action)
    ? `a statement in ${whose} denies ${action}. The published policies deny it on what does not bear this action's tags: leave that statement, and check the tags of the resource. Any other statement that denies it has to go`
    : `take the statement that denies ${action} out of ${whose}`;
}

/** What AWS denied a role, and what a statement that allows it names: all, or what is made with tags. */
type Denied = Readonly<{
  role: string;
  side: Side;
  action: string;
  resources: readonly string[];
  tagged?: readonly string[];
  words: string;
}>;

/** A denial as a problem: what the role is not allowed to call, and what mends it. */
export function lackOf({ role, side, action, resources, tagged = [], words }: Denied): {
  what: string;
  remedy: string;
} {
  if (words.startsWith(tagPolicyCode))
    return { what: `a tag policy refuses what ${role} is to make by ${action} (${words})`, remedy: tagPolicyRemedy };
  // A request that makes tagged resources takes ec2:CreateTags besides.
  const found = deniedIn(words);
  const denied = found?.action ?? action;
  // What takes a right on something of another service, such as the role of an instance profile.
  const other = denied.startsWith('ec2:') ? undefined : found?.resource;
  const others = other === undefined ? resources : [other];
  const on = denied === 'ec2:CreateTags' && tagged.length > 0 ? tagged : others;
  return {
    what: `${role} is not allowed to call ${denied}${other === undefined ? '' : ` on ${other}`}`,
    remedy: denialRemedy({ whose: 'its policy', side, action: denied, resources: on, words }),
  };
}
