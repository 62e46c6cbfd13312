export type Partition = 'aws' | 'aws-cn' | 'aws-us-gov';

/** The partition that a region's name says it is in; partitions share no roles, keys, copies or shares. */
export function partitionOf(region: string): Partition {
  if (region.startsWith('cn-')) return 'aws-cn';
  if (region.startsWith('us-gov-')) return 'aws-us-gov';
  return 'aws';
}

/** Those of the partition aws that every account has; each later one is disabled until an account enables it. */
const alwaysEnabled = new Set([
  ...['us-east-1', 'us-east-2', 'us-west-1', 'us-west-2', 'ca-central-1', 'sa-east-1'],
  ...['eu-central-1', 'eu-north-1', 'eu-west-1', 'eu-west-2', 'eu-west-3'],
  ...['ap-northeast-1', 'ap-northeast-2', 'ap-northeast-3', 'ap-south-1', 'ap-southeast-1', 'ap-southeast-2'],
]);

/** Whether an account has a region only when it has enabled it: https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html */
export function isOptIn(region: string): boolean {
  return partitionOf(region) === 'aws' && !alwaysEnabled.has(region);
}

/** Whether `text` has the shape of a region's name, such as `eu-west-1` or `us-gov-east-1`. */
export function isRegionName(text: string): boolean {
  return /^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$/.test(text);
}

/** Whether a region is in a partition that this action has not been made for: the isolated ones, the European sovereign one. */
export function isUnknownPartition(region: string): boolean {
  return /^(eusc|us-isof?|us-isob|eu-isoe)-/.test(region);
}

/** The audience that AWS's partitions expect of GitHub's token. https://docs.github.com/actions/reference/security/oidc */
export function audienceOf(partition: Partition): string {
  return partition === 'aws-cn' ? 'sts.amazonaws.com.cn' : 'sts.amazonaws.com';
}

/** What is said of such a region. */
export const unknownPartition = 'is in a partition that this action does not know; it knows aws, aws-cn and aws-us-gov';

/** Where the AMI is shown in the AWS console. */
export function consoleUrl(region: string, amiId: string): string {
  const host = {
    aws: 'console.aws.amazon.com',
    'aws-cn': 'console.amazonaws.cn',
    'aws-us-gov': 'console.amazonaws-us-gov.com',
  }[partitionOf(region)];
  return `https://${region}.${host}/ec2/home?region=${region}#ImageDetails:imageId=${encodeURIComponent(amiId)}`;
}
