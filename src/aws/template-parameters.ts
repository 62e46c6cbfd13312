/*
 * Roles made from templates/ lack what their parameters weren't set for: what sets them mends more than one statement, and
 * the next deployment doesn't undo it.
 */

/** Whose role it is, and what it is for. */
export type Side = 'source' | 'target' | 'target-audit' | 'source-recall' | 'target-recall';

/** What reads what uses an AMI. */
const readingUsers = [
  'ec2:DescribeInstances',
  'ec2:DescribeLaunchTemplates',
  'ec2:DescribeLaunchTemplateVersions',
  'ec2:DescribeImageReferences',
  'autoscaling:DescribeAutoScalingGroups',
  'autoscaling:DescribeLaunchConfigurations',
  'ssm:DescribeParameters',
  'imagebuilder:ListImageRecipes',
  'imagebuilder:ListContainerRecipes',
  'ssm:GetParameters',
  'imagebuilder:GetImageRecipe',
  'imagebuilder:GetContainerRecipe',
];

/** What each parameter lets a role call that it may not call anyway; policies/ have the statements. */
export const features: Readonly<Record<Side, Readonly<Record<string, readonly string[]>>>> = {
  source: {
    'RouteCopy=true': ['ec2:ModifyImageAttribute'],
    'KeyAccessByPolicy=true': ['kms:GetKeyPolicy', 'kms:PutKeyPolicy'],
    'Parameter=<parameter>': ['ssm:GetParameter'],
    'FromInstances=true': ['ec2:DescribeInstances', 'ec2:DescribeVolumes', 'ec2:CreateImage'],
    'ScanGate=true': ['ec2:GetImageFindings'],
  },
  target: {
    'RouteCopy=true': [
      'ec2:GetAllowedImagesSettings',
      'ec2:GetImageAncestry',
      'ec2:CopyImage',
      'ec2:ModifyImageAttribute',
    ],
    'Publish=true': [
      'ec2:DescribeAvailabilityZones',
      'ec2:ModifyImageAttribute',
      'ec2:EnableImageDeprecation',
      'ec2:EnableImageDeregistrationProtection',
      'ec2:EnableFastSnapshotRestores',
      'kms:GetKeyPolicy',
      'kms:ListGrants',
    ],
    'Parameter=<parameter>': [
      'ssm:GetParameter',
      'ssm:GetParameterHistory',
      'ssm:PutParameter',
      'ssm:AddTagsToResource',
      'ssm:DeleteParameter',
    ],
    'LaunchTemplate=*': [
      'ec2:DescribeLaunchTemplateVersions',
      'ec2:CreateLaunchTemplateVersion',
      'ec2:ModifyLaunchTemplate',
      'ec2:DeleteLaunchTemplateVersions',
    ],
    'Retain=true': [
      ...readingUsers,
      'ec2:DescribeImageUsageReports',
      'ec2:DescribeImageUsageReportEntries',
      'ec2:DisableImageDeregistrationProtection',
    ],
    'RetainShared=true': ['ec2:CreateImageUsageReport', 'ec2:DeleteImageUsageReport'],
    'InstanceTypes=true': ['ec2:ReplaceImageInstanceTypeSpecification'],
    'RecycleBin=true': ['ec2:RestoreImageFromRecycleBin'],
    'BootTest=true': [
      'ec2:DescribeSubnets',
      'ec2:DescribeSecurityGroups',
      'ec2:DescribeInstanceTypes',
      'ec2:DescribeInstanceTypeOfferings',
      'ec2:DescribeInstances',
      'ec2:DescribeInstanceStatus',
      'ec2:RunInstances',
      'ec2:TerminateInstances',
      'ec2:GetConsoleOutput',
      'ec2:GetConsoleScreenshot',
      'ssm:DescribeInstanceInformation',
      'iam:GetInstanceProfile',
    ],
    'BootRoleArns=<arn>': ['iam:PassRole'],
  },
  'target-audit': {
    'Audit=true': [
      'ec2:DescribeInstances',
      'ec2:DescribeFastSnapshotRestores',
      'ec2:DescribeLaunchTemplateVersions',
      'ec2:DescribeAvailabilityZones',
      'ec2:GetImageAncestry',
      'kms:ListGrants',
    ],
    'Audit=true and Parameter=<parameter>': ['ssm:GetParameter'],
  },
  'source-recall': {
    'IncludeSource=true': [
      ...readingUsers,
      'ec2:DescribeImageAttribute',
      'ec2:DisableImage',
      'ec2:EnableImage',
      'ec2:EnableImageDeprecation',
      'ec2:DisableImageDeprecation',
      'ec2:ModifyImageAttribute',
      'ec2:DescribeSnapshotAttribute',
      'ssm:GetParametersByPath',
      'ssm:PutParameter',
      'ssm:AddTagsToResource',
      'ssm:DeleteParameters',
    ],
  },
  'target-recall': {
    'Parameter=<parameter>': ['ssm:GetParameter'],
    'LaunchTemplate=*': [
      'ec2:CreateLaunchTemplateVersion',
      'ec2:ModifyLaunchTemplate',
      'ec2:DeleteLaunchTemplateVersions',
    ],
  },
};

/** What a parameter narrows, and whom it has to name then. */
const lists: Readonly<Partial<Record<Side, Readonly<Record<string, string>>>>> = {
  source: {
    'ec2:ModifySnapshotAttribute': 'name every target account in TargetAccounts',
    'kms:CreateGrant': 'name every target account in TargetAccounts',
  },
  target: { 'kms:CreateGrant': 'name the principals of grant-key-to in GrantKeyTo' },
};

/** What a role is not allowed to call, and on what; and what the role is for, undefined where nothing says so. */
export type Lack = Readonly<{ side?: Side | undefined; action: string; resources: readonly string[] }>;

/** What to set for a role made from templates/; undefined where no parameter decides it. */
export function parametersFor({ side, action, resources }: Lack): string | undefined {
  if (side === undefined) return undefined;
  const list = lists[side]?.[action];
  if (list !== undefined) return list;
  const parameters = Object.entries(features[side]).flatMap(([parameter, actions]) =>
    actions.includes(action) ? parameter : [],
  );
  if (parameters.length === 0) return undefined;
  const [, name] = /:parameter\/(.+)$/.exec(resources[0] ?? '') ?? [];
  const set = `set ${parameters.join(' or ')}`;
  return set.replace('<parameter>', name ?? '<parameter>').replace('<arn>', resources[0] ?? '<arn>');
}

/** By which parameter a target's template is told of a key of the source account. */
export function sourceKeyParameter(keyArn: string, sourceRegion: string): string {
  return keyArn.includes(`:kms:${sourceRegion}:`) ? `set SourceKeyArn=${keyArn}` : `name ${keyArn} in HubKeyArns`;
}

/** A remedy that begins with the template's parameters, and goes on with the statement for any other role. */
export function templateFirst(parameters: string | undefined, statement: string): string {
  return parameters === undefined ? statement : `where templates/ made the role, ${parameters}; else ${statement}`;
}
