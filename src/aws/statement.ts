/** A statement as it may be put into a policy. */
export function statement(action: string | readonly string[], resources: readonly string[]): string {
  return JSON.stringify({
    Effect: 'Allow',
    Action: action,
    Resource: resources.length === 1 ? resources[0] : resources,
  });
}

/**
 * What AWS's words say was denied: the action, and on what, where that is told by its ARN ("this resource" is all that KMS
 * says of another account's key).
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
 */
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

/** What AWS denied a role, and what a statement that allows it names: all, or what is made with tags. */
export type Denied = Readonly<{
  role: string;
  action: string;
  resources: readonly string[];
  tagged?: readonly string[];
  words: string;
}>;

/** A denial as a problem: what the role may not, and the statement that mends it. */
export function lackOf({ role, action, resources, tagged = [], words }: Denied): { what: string; remedy: string } {
  // A request that makes tagged resources takes ec2:CreateTags besides.
  const denied = deniedIn(words)?.action ?? action;
  const on = denied === 'ec2:CreateTags' && tagged.length > 0 ? tagged : resources;
  const remedy = `add to its policy: ${statement(denied, on)}${deniedOutright(words)}`;
  return { what: `${role} may not take ${denied}`, remedy };
}

/** What an allowing statement alone doesn't mend. */
export function deniedOutright(words: string): string {
  return words.includes('explicit deny') ? ' (and take out the statement that denies it)' : '';
}
