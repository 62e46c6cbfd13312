import type { Partition } from '../regions.ts';
import { fill, needsSourceImage, shortestSource, unknownPlaceholders } from '../template.ts';
import { type InputName, type Reader, type RunContext, runValues } from './reader.ts';

/** What an instance of a target's AMI must show before the AMI is published. Templates still hold their placeholders. */
export type Boot = Readonly<{
  /** `status`: the status checks pass; `ssm`: and the agent of Systems Manager is online. */
  test: 'status' | 'ssm';
  instanceType: string | undefined;
  /** IDs, or `tag:Key=Value`; none means those of a default VPC. */
  subnets: readonly string[];
  securityGroups: readonly string[];
  /** The name of an instance profile, or its ARN. */
  instanceProfile: string | undefined;
  timeoutMinutes: number;
  /** Whether an AMI that could not be tested fails. */
  required: boolean;
}>;

export const bootTests = ['off', 'status', 'ssm'] as const;

/** The boot test that is asked for; what is wrong with its inputs is noted in `reader` in any case. */
export function readBoot(reader: Reader, partition: Partition, run: RunContext): Boot | undefined {
  const test = reader.oneOf('boot-test', bootTests);
  const checked = (name: InputName, text: string, { pattern, expected }: Form): string => {
    const template = reader.templateValue(name, text);
    if (needsSourceImage(template) || unknownPlaceholders(template).length > 0) return template;
    const sample = { account: '0'.repeat(12), region: 'us-east-1', ...runValues(run), ...shortestSource };
    return reader.checked(name, template, { fits: () => pattern.test(fill(template, sample)), expected });
  };
  const one = (name: InputName, form: Form) => {
    const text = reader.optional(name);
    return text === undefined ? undefined : checked(name, text, form);
  };
  // A tag's value may hold a comma.
  const several = (name: InputName, form: Form) => {
    const text = reader.text(name);
    const all = text.startsWith('tag:') ? [text] : reader.list(name);
    if (all.length > 1 && all.some((one) => one.startsWith('tag:')))
      reader.note(name, text, 'expected IDs, or one tag:Key=Value');
    return all.map((one) => checked(name, one, form));
  };
  const subnets = several('boot-subnet', formOf('subnet', 'subnet'));
  // Without a way to Systems Manager, no agent gets there; that of a default subnet isn't known.
  if (test === 'ssm' && subnets.length === 0)
    reader.note('boot-subnet', '', 'is needed with boot-test: ssm; the agent must reach Systems Manager from it');
  const boot = {
    instanceType: one('boot-instance-type', typeForm),
    subnets,
    securityGroups: several('boot-security-group', formOf('sg', 'security group')),
    instanceProfile: one('boot-instance-profile', profileForm(partition)),
    timeoutMinutes: reader.whole('boot-timeout-minutes', 1, 240),
    required: reader.flag('boot-required'),
  };
  return test === 'off' ? undefined : { test, ...boot };
}

/** What a value looks like, for the program and in words. */
type Form = Readonly<{ pattern: RegExp; expected: string }>;

const typeForm: Form = {
  pattern: /^[a-z][a-z\d-]*\.[a-z\d-]+$/,
  expected: 'expected an instance type, such as t3.small',
};

function formOf(prefix: string, what: string): Form {
  return {
    pattern: new RegExp(`^(tag:[^=]{1,128}=.{0,256}|${prefix}-([0-9a-f]{8}|[0-9a-f]{17}))$`),
    expected: `expected the ID of a ${what} (${prefix}-…), or tag:Key=Value`,
  };
}

/** https://docs.aws.amazon.com/IAM/latest/APIReference/API_InstanceProfile.html */
function profileForm(partition: Partition): Form {
  return {
    pattern: new RegExp(`^(arn:${partition}:iam::\\d{12}:instance-profile/([\\w+=,.@-]+/)*)?[\\w+=,.@-]{1,128}$`),
    expected: 'expected the name or the ARN of an instance profile',
  };
}
