import { isOptIn } from '../regions.ts';
import { LateError } from '../time.ts';
import { denialRemedy, deniedIn, tagPolicyCode, tagPolicyRemedy } from './denial.ts';
import { type Side, templateFirst } from './template-parameters.ts';

/** Where a call went: which account, which region, as whom. */
export type Where = Readonly<{ account: string; region: string }>;

export function placeName({ account, region }: Where): string {
  return `${account}/${region}`;
}

/** A call that failed: what was asked, where, and of which resource where it says more than the place. */
type FailedCall = Readonly<{
  action: string;
  where: Where;
  resource?: string;
  /** What to do, where the caller knows more than AWS's words tell. */
  remedy?: string | undefined;
  /** Whose call it was, where that is known. */
  side?: Side | undefined;
}>;

/** A call that AWS refused, or that never reached it, after all retries: what, where, and AWS's own words. */
export class AwsCallError extends Error {
  override name = 'AwsCallError';
  readonly action: string;
  readonly code: string;
  readonly awsMessage: string;
  readonly where: Where;
  readonly remedy: string | undefined;
  readonly side: Side | undefined;

  constructor({ action, where, resource, remedy, side }: FailedCall, cause: unknown) {
    const code = errorCode(cause);
    const awsMessage = errorMessage(cause);
    super(
      `${action}${resource === undefined ? '' : ` of ${resource}`} in ${placeName(where)}: ${code}: ${awsMessage}`,
      { cause },
    );
    this.action = action;
    this.code = code;
    this.awsMessage = awsMessage;
    this.where = where;
    this.remedy = remedy;
    this.side = side;
  }
}

/** A failure to come by credentials. */
export class CredentialsError extends Error {
  override name = 'CredentialsError';
  readonly remedy: string | undefined;

  constructor(what: string, { remedy, cause }: Readonly<{ remedy?: string; cause?: unknown }> = {}) {
    super(what, { cause });
    this.remedy = remedy;
  }
}

/** A step that failed, told with the resource that it was at; `remedy` says what to do where more is known than AWS says. */
export class StepError extends Error {
  override name = 'StepError';
  readonly remedy: string | undefined;

  constructor(step: string, cause: unknown, remedy?: string) {
    super(`${step}: ${errorMessage(cause)}`, { cause });
    this.remedy = remedy ?? remedyOf(cause);
  }
}

/** The code that AWS gave an error (`UnauthorizedOperation`), or the system's (`ECONNRESET`), or the error's name. */
export function errorCode(error: unknown): string {
  if (error instanceof AwsCallError) return error.code;
  if (!(error instanceof Error)) return 'Error';
  if (error.name === 'Error' && 'code' in error && typeof error.code === 'string') return error.code;
  if ('Code' in error && typeof error.Code === 'string') return error.Code;
  return error.name;
}

/** The code of the AWS call that a failed step goes back to, if it goes back to one. */
export function rootCode(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) if (at instanceof AwsCallError) return at.code;
  return undefined;
}

/** An error's words on one line. What EC2 encodes for administrators is long, and says nothing to a reader. */
export function errorMessage(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  return words
    .replace(/\s+/g, ' ')
    .replace(/ ?Encoded authorization failure message: \S+/, '')
    .trim();
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes(errorCode(error));
}

const unseenCodes = ['InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable', 'InvalidSnapshot.NotFound'];

/** Whether AWS says that it doesn't see an image or a snapshot (yet) that it has given an ID. */
export function isUnseen(error: unknown): boolean {
  return hasCode(error, ...unseenCodes);
}

/** Malformed: AWS gives out no such ID, although it has the form of one. */
const absentCodes = ['NotFound', 'Unavailable', 'Malformed'].flatMap((what) =>
  ['InvalidAMIID', 'InvalidSnapshotID', 'InvalidSnapshot'].map((of) => `${of}.${what}`),
);

/** Whether AWS says that an image or a snapshot isn't there, or isn't the caller's to see. */
export function isAbsent(error: unknown): boolean {
  return hasCode(error, ...absentCodes);
}

function httpStatus(error: unknown): number | undefined {
  if (error instanceof AwsCallError) return httpStatus(error.cause);
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode;
}

// The codes that AWS's services throttle with; EC2's come with HTTP 503, KMS's with 400.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
const throttlingCodes = new Set([
  'RequestLimitExceeded',
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'TooManyRequestsException',
  'RequestThrottled',
  'RequestThrottledException',
  'SlowDown',
  'BandwidthLimitExceeded',
  'EC2ThrottledException',
]);

export function isThrottling(error: unknown): boolean {
  return throttlingCodes.has(errorCode(error)) || httpStatus(error) === 429;
}

/** Whether a call of this action changes nothing. */
export function isRead(action: string): boolean {
  return /^(Describe|Get|List)/.test(action);
}

/** Whether the name of the host isn't known, and never was: answer.ts says so. */
function isUnknownHost(error: unknown): boolean {
  return (error as { neverResolved?: true }).neverResolved === true;
}

/** How often a call that failed as this one did may be tried again, of `most` that what passes sooner or later is. */
export function triesAfter(error: unknown, most: number): number {
  return isUnknownHost(error) ? Math.min(2, most) : most;
}

// Failures before a connection stood: AWS has seen nothing of the request.
const unsentCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/**
 * Whether no connection stood, so that AWS has seen nothing of the request. A proxy that refuses the tunnel with 4xx
 * doesn't count, since it will refuse the next one, too: Node gives the status with ERR_PROXY_TUNNEL, and none where
 * the proxy gave no answer. TLS that was never established says so in words: https://github.com/nodejs/node lib/_tls_wrap.js
 */
function isUnsent(error: unknown): boolean {
  if (error instanceof AwsCallError) return isUnsent(error.cause);
  const code = errorCode(error);
  if (unsentCodes.has(code)) return true;
  const { statusCode, syscall } = error as { statusCode?: number; syscall?: string };
  if (code === 'ERR_PROXY_TUNNEL') return statusCode === undefined || statusCode >= 500;
  if (!['ECONNRESET', 'ETIMEDOUT'].includes(code)) return false;
  return syscall === 'connect' || /before secure TLS connection was established/.test(errorMessage(error));
}

/** Whether the request certainly had no effect, so that repeating it cannot make anything twice. */
export function isWithoutEffect(error: unknown): boolean {
  return isThrottling(error) || isUnsent(error) || isRefusalOfCredentials(error);
}

const transientCodes = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'TimeoutError',
  'RequestTimeout',
  'RequestTimeoutException',
  'InternalError',
  'InternalFailure',
  'InternalServerError',
  'ServiceUnavailable',
  'ServiceUnavailableException',
  'Unavailable',
  'DependencyTimeoutException',
  'KMSInternalException',
  'IDPCommunicationError',
  'IDPCommunicationErrorException',
  'UnreadableAnswer',
]);

/** Whether the endpoint has no such action: an emulator, or a partition that a service hasn't come to. */
export function isUnknownAction(error: unknown): boolean {
  const codes = ['InvalidAction', 'NotImplemented', 'UnknownOperationException', 'UnsupportedOperation'];
  return hasCode(error, ...codes) || httpStatus(error) === 501;
}

// Insufficient capacity comes with HTTP 500, and lasts: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
const capacityCodes = ['InsufficientInstanceCapacity', 'InsufficientHostCapacity', 'InsufficientCapacity'];

/** Whether the same request may well succeed a little later; what it did meanwhile is not known. */
export function isTransient(error: unknown): boolean {
  if (hasCode(error, ...capacityCodes)) return false;
  return transientCodes.has(errorCode(error)) || isUnsent(error) || isServerError(error) || isClosedConnection(error);
}

/** Whether the service answered that it failed. 501 says that there is no such action, now or later. */
export function isServerError(error: unknown): boolean {
  const status = httpStatus(error) ?? 0;
  return status >= 500 && status !== 501;
}

/** Node's words for a connection that ended without an answer carry no code. */
function isClosedConnection(error: unknown): boolean {
  if (error instanceof AwsCallError) return isClosedConnection(error.cause);
  return error instanceof Error && /socket hang up|other side closed|premature close/i.test(error.message);
}

// Full, and nobody else will empty it: the tags of a resource, the versions of a parameter.
const lastingLimits = new Set(['TagLimitExceeded', 'ParameterMaxVersionLimitExceeded']);

/** Whether a quota is full, which may have room again: AWS has a code for each, and words that say as much. */
export function isLimit(error: unknown): boolean {
  const code = errorCode(error);
  if (isThrottling(error) || lastingLimits.has(code)) return false;
  return /^TooMany|LimitExceeded(Exception|Fault)?$/.test(code) || /\btoo many\b/i.test(errorMessage(error));
}

const expiredCodes = new Set(['RequestExpired', 'ExpiredToken', 'ExpiredTokenException']);

/** Whether the session that signed the request has ended. EC2 says RequestExpired, the others ExpiredToken. */
export function isExpired(error: unknown): boolean {
  return expiredCodes.has(errorCode(error));
}

/**
 * Whether AWS doesn't know the credentials. So it answers for some seconds after they were made, for as long as a region
 * isn't enabled in their account, and of credentials that are no good.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
 */
function isUnknownCredentials(error: unknown): boolean {
  if (hasCode(error, 'UnrecognizedClientException', 'InvalidClientTokenId')) return true;
  return hasCode(error, 'AuthFailure') && errorMessage(error).includes('validate the provided access credentials');
}

/** Whether AWS refused the credentials, not the call: it may take others, or these in some seconds. */
export function isRefusalOfCredentials(error: unknown): boolean {
  return isExpired(error) || isUnknownCredentials(error);
}

/** The codes that a machine's wrong clock gives; EC2's is AuthFailure: https://github.com/aws/aws-sdk-java/issues/519 */
const skewCodes = [
  ...['AuthFailure', 'InvalidSignatureException', 'RequestExpired', 'RequestInTheFuture', 'RequestTimeTooSkewed'],
  'SignatureDoesNotMatch',
];

/** Whether the machine's clock may be why AWS refused: the SDK has set the client's since, by the answer's date. */
export function isClockCorrected(error: unknown): boolean {
  const { $metadata } = error as { $metadata?: { clockSkewCorrected?: true } };
  return $metadata?.clockSkewCorrected === true && hasCode(error, ...skewCodes);
}

/** Of a product of AWS Marketplace, the code says something else: https://github.com/awslabs/harmonix/issues/22 */
function isUnsubscribed({ code, awsMessage }: AwsCallError): boolean {
  return code === 'OptInRequired' && /marketplace/i.test(awsMessage);
}

/**
 * Whether a region isn't enabled in the caller's account, which is told in these words or in those of credentials that are
 * unknown there; of regions that nobody has to enable, the latter say only what they say.
 * https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
 */
export function isDisabledRegion(error: AwsCallError): boolean {
  if (isUnsubscribed(error)) return false;
  if (hasCode(error, 'RegionDisabledException', 'OptInRequired')) return true;
  const { action, where } = error;
  // Whoever fails these fails with the session itself.
  const isOfSession = action === 'GetCallerIdentity' || action.startsWith('AssumeRole');
  return !isOfSession && isOptIn(where.region) && isUnknownCredentials(error);
}

export function isDenied(error: unknown): boolean {
  const code = errorCode(error);
  return isDenialCode(code) || code === 'AuthFailure';
}

export function isDenialCode(code: string): boolean {
  return ['UnauthorizedOperation', 'AccessDenied', 'AccessDeniedException'].includes(code);
}

/** What to do about an error, where more can be said than AWS says; the first that fits. */
const remedies: readonly { fits: (error: AwsCallError) => boolean; remedy: (error: AwsCallError) => string }[] = [
  {
    fits: ({ action, code }) => action === 'AssumeRoleWithWebIdentity' && code === 'AccessDenied',
    remedy: () =>
      "the role's trust policy must name this issuer's OIDC provider, the audience (oidc-audience) and this workflow's sub; repositories made, renamed or moved since July 2026 have a sub of the form repo:owner@id/name@id:…",
  },
  {
    fits: ({ action, awsMessage }) =>
      action === 'AssumeRoleWithWebIdentity' && awsMessage.includes('No OpenIDConnect provider'),
    remedy: () =>
      templateFirst(
        'set OidcProvider=true in the source account, OidcProviderRegion to one region in a target account',
        "create an IAM OIDC identity provider for GitHub's issuer in that account",
      ),
  },
  {
    fits: ({ code, awsMessage }) => code.startsWith('InvalidIdentityToken') && awsMessage.includes('audience'),
    remedy: () => 'the OIDC provider in that account must list the audience of the input oidc-audience',
  },
  {
    fits: ({ action, awsMessage }) => action.startsWith('AssumeRole') && awsMessage.includes('DurationSeconds'),
    remedy: () =>
      "lower role-duration-seconds, or raise the role's maximum session duration (MaxSessionDuration of templates/); sessions renew themselves either way",
  },
  {
    fits: ({ action, awsMessage }) => action === 'AssumeRole' && awsMessage.includes('sts:TagSession'),
    remedy: () =>
      "role-session-tags need sts:TagSession: in the calling principal's policy and in the role's trust policy",
  },
  {
    fits: isUnsubscribed,
    remedy: ({ where }) => `subscribe account ${where.account} to the product, on the page that AWS names`,
  },
  {
    fits: isDisabledRegion,
    remedy: ({ where }) =>
      `enable region ${where.region} in account ${where.account}: aws account enable-region --region-name ${where.region} (it takes some minutes), or leave the region out, if it is a target's`,
  },
  {
    // Sessions that the run makes itself are renewed.
    fits: (error) => isExpired(error) && error.action !== 'AssumeRoleWithWebIdentity',
    remedy: () =>
      'the credentials in the environment have ended: have them last longer than the run (role-duration-seconds of aws-actions/configure-aws-credentials), or let the roles trust GitHub and set credentials to oidc',
  },
  {
    fits: isUnknownCredentials,
    remedy: () =>
      'AWS does not know the credentials: see that those in the environment are whole, of this partition and not deleted, and that no other endpoint or proxy answers',
  },
  {
    fits: ({ awsMessage }) => /BillingProduct codes cannot be copied/i.test(awsMessage),
    remedy: () =>
      'AWS copies no image with this billing to another account. Its documented way: share the image, launch an instance of it in the target account, and make the AMI of that instance (instance-id)',
  },
  {
    fits: ({ awsMessage }) => /Marketplace cannot be copied/i.test(awsMessage),
    remedy: () =>
      'AWS copies no Marketplace image to another account. Subscribe there, launch an instance, and make the AMI of that instance (instance-id)',
  },
  {
    fits: ({ awsMessage }) => /permission to access the storage/i.test(awsMessage),
    remedy: () =>
      'every snapshot of the image must be shared with this account, by its owner; check that nothing takes the shares away while this runs',
  },
  {
    fits: ({ code, awsMessage }) => {
      const denied = deniedIn(awsMessage);
      if (denied === undefined || !isDenialCode(code)) return false;
      // Services name no resource of what has none; KMS names none of another account, whose key's policy may be what denies.
      return denied.resource !== undefined || !denied.action.startsWith('kms:');
    },
    remedy: ({ awsMessage, side }) => {
      const { principal = '', action = '', resource = '*' } = deniedIn(awsMessage) ?? {};
      const whose = `the policy of ${principal}`;
      return denialRemedy({ whose, side, action, resources: [resource], words: awsMessage });
    },
  },
  {
    fits: ({ code }) => code === 'UnauthorizedOperation',
    remedy: ({ action, where }) => {
      const passing = action === 'RunInstances' ? ', and iam:PassRole on the role of boot-instance-profile,' : '';
      return `allow ec2:${action}${passing} to the role in account ${where.account} (docs/permissions.md has the policies)`;
    },
  },
  {
    fits: ({ code }) => code === 'ERR_PROXY_TUNNEL',
    remedy: () =>
      'have the proxy of HTTPS_PROXY let the runner through to that host (user name and password are part of its URL), or name the host in NO_PROXY',
  },
  {
    // https://nodejs.org/api/tls.html#x509-certificate-error-codes
    fits: ({ code }) => /^CERT_|_CERT(_|$)|^UNABLE_TO_VERIFY/.test(code),
    remedy: () =>
      "Node does not trust the certificate of what answered: if that is a proxy with a CA of its own, name the CA's file in NODE_EXTRA_CA_CERTS, in the env of the step",
  },
  {
    fits: ({ code }) => ['ENOTFOUND', 'EAI_AGAIN'].includes(code),
    remedy: () =>
      'see that the region exists, and that the runner can look that name up; behind a proxy, HTTPS_PROXY must be a URL such as http://proxy.example.com:3128',
  },
  {
    fits: (error) => isUnsent(error) || /did not establish a connection/.test(error.awsMessage),
    remedy: () =>
      'see what keeps the runner from connecting: a firewall (docs/security.md lists the endpoints), or a proxy that it has to take (HTTPS_PROXY)',
  },
  {
    fits: ({ code }) => code === 'NotFromAws',
    remedy: () =>
      "see what is between the runner and AWS: a proxy, a firewall or an endpoint refuses the call in AWS's place",
  },
  {
    fits: ({ code }) => code === 'ParameterNotFound',
    remedy: ({ where }) => `create the parameter in ${placeName(where)}, or correct ami-ssm-parameter or source-region`,
  },
  {
    fits: ({ action, code }) => action === 'DescribeKey' && code === 'NotFoundException',
    remedy: () =>
      'an alias is of one account and region: create the key there (templates/ do: source-account.yaml, source-hub.yaml for a hub, target-account.yaml), or name another',
  },
  {
    fits: ({ code, awsMessage }) => code === 'OperationNotPermitted' && awsMessage.includes('default key'),
    remedy: () =>
      'the snapshot is under aws/ebs; give source-kms-key, so that it is copied under a customer managed key first',
  },
  {
    fits: ({ code, awsMessage }) => code === 'AccessDeniedException' && awsMessage.includes('kms:'),
    remedy: ({ awsMessage, where }) =>
      `allow ${/kms:\w+/.exec(awsMessage)?.[0]} on that key: in the role's own policy and, where the key is another account's, in the key policy or a grant too (called from account ${where.account})`,
  },
  {
    fits: ({ code, awsMessage }) => code === 'MalformedPolicyDocumentException' && awsMessage.includes('principals'),
    remedy: () =>
      'KMS takes no policy that names a principal which does not exist. Remove from the policy of the key what was deleted (it stands there as AROA… or AIDA…), and check that the target accounts exist',
  },
  {
    fits: ({ action, code }) => action === 'PutKeyPolicy' && code === 'LimitExceededException',
    remedy: () => 'set source-key-access to grant, or shorten the policy of the key',
  },
  {
    // https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html#grants-per-key
    fits: ({ action, code }) => action === 'CreateGrant' && code === 'LimitExceededException',
    remedy: ({ where }) =>
      `a key takes 50,000 grants: revoke those that nothing needs any more (aws kms list-grants --region ${where.region}), or give another key`,
  },
  {
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
    fits: ({ code }) => code === 'TagLimitExceeded',
    remedy: () => 'take a tag off it: a resource has 50 at most',
  },
  { fits: ({ code }) => code === tagPolicyCode, remedy: () => tagPolicyRemedy },
  {
    fits: ({ code }) => code === 'InvalidAMIName.Duplicate',
    remedy: () =>
      'choose another target-ami-name, or deregister the AMI that has this one; where that is in the Recycle Bin, whose rule may keep its name, leave such AMIs out of the rule',
  },
];

function remedyOf(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at instanceof StepError || at instanceof CredentialsError || at instanceof LateError) return at.remedy;
    if (at instanceof AwsCallError) {
      const call = at;
      return call.remedy ?? remedies.find(({ fits }) => fits(call))?.remedy(call);
    }
  }
  return undefined;
}

/** An error as a user reads it: what failed, in AWS's words, and what to do, if that is known. */
export function explain(error: unknown): { message: string; remedy: string | undefined } {
  return { message: errorMessage(error), remedy: remedyOf(error) };
}

/** `explain` on one line. */
export function explainLine(error: unknown): string {
  const { message, remedy } = explain(error);
  return remedy === undefined ? message : `${message.replace(/\.$/, '')}. What to do: ${remedy}`;
}
