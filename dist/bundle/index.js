import { createRequire as __WEBPACK_EXTERNAL_createRequire } from "module";
/******/ var __webpack_modules__ = ({

/***/ 698:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:async_hooks");

/***/ }),

/***/ 421:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:child_process");

/***/ }),

/***/ 598:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:crypto");

/***/ }),

/***/ 24:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:fs");

/***/ }),

/***/ 455:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:fs/promises");

/***/ }),

/***/ 67:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:http");

/***/ }),

/***/ 327:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:https");

/***/ }),

/***/ 161:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:os");

/***/ }),

/***/ 760:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:path");

/***/ }),

/***/ 708:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:process");

/***/ }),

/***/ 75:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:stream");

/***/ }),

/***/ 321:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:stream/consumers");

/***/ }),

/***/ 975:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:util");

/***/ }),

/***/ 522:
/***/ ((module) => {

module.exports = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:zlib");

/***/ }),

/***/ 430:
/***/ ((__unused_webpack___webpack_module__, __webpack_exports__, __nccwpck_require__) => {


// EXPORTS
__nccwpck_require__.d(__webpack_exports__, {
  $: () => (/* binding */ isMissing),
  A: () => (/* binding */ recalledTag),
  At: () => (/* binding */ placeName),
  B: () => (/* binding */ fill),
  Bt: () => (/* binding */ parametersFor),
  C: () => (/* binding */ severities),
  Ct: () => (/* binding */ isRefusalOfCredentials),
  D: () => (/* binding */ joinIds),
  Dt: () => (/* binding */ isUnknownAction),
  E: () => (/* binding */ isMarked),
  Et: () => (/* binding */ isTransient),
  F: () => (/* binding */ isLaunchTemplate),
  Ft: () => (/* binding */ lackOf),
  G: () => (/* binding */ differences$1),
  Gt: () => (/* binding */ TimeOutError),
  H: () => (/* binding */ needsSourceImage),
  Ht: () => (/* binding */ templateFirst),
  I: () => (/* binding */ isLineage),
  It: () => (/* binding */ lacksIn),
  J: () => (/* binding */ idsOf),
  Jt: () => (/* binding */ problemLine),
  K: () => (/* binding */ extrasDifferences),
  Kt: () => (/* binding */ isRegionName),
  L: () => (/* binding */ launchTemplateForm),
  Lt: () => (/* binding */ policyIn),
  M: () => (/* binding */ tagPrefix),
  Mt: () => (/* binding */ triesAfter),
  N: () => (/* binding */ tagValue),
  Nt: () => (/* binding */ denialRemedy),
  O: () => (/* binding */ mergeTags),
  Ot: () => (/* binding */ isUnseen),
  P: () => (/* binding */ toTags),
  Pt: () => (/* binding */ deniedIn),
  Q: () => (/* binding */ isImageName),
  Qt: () => (/* binding */ spokenSeconds),
  R: () => (/* binding */ parameterNameProblem),
  Rt: () => (/* binding */ statement),
  S: () => (/* binding */ sha256),
  St: () => (/* binding */ isRead),
  T: () => (/* binding */ instanceTag),
  Tt: () => (/* binding */ isThrottling),
  U: () => (/* binding */ describedAs),
  Ut: () => (/* binding */ CancelError),
  V: () => (/* binding */ filledByAnyRun),
  Vt: () => (/* binding */ sourceKeyParameter),
  W: () => (/* binding */ differenceText),
  Wt: () => (/* binding */ LateError),
  X: () => (/* binding */ instanceTypesOf),
  Xt: () => (/* binding */ counted$1),
  Y: () => (/* binding */ imageIdsOf),
  Yt: () => (/* binding */ together),
  Z: () => (/* binding */ isImageDescription),
  Zt: () => (/* binding */ listed$1),
  _: () => (/* binding */ logText),
  _t: () => (/* binding */ isDenialCode),
  a: () => (/* binding */ usesAssumeRole),
  at: () => (/* binding */ tagDifferences),
  sb: () => (/* binding */ audit),
  b: () => (/* binding */ digestOf),
  bt: () => (/* binding */ isExpired),
  c: () => (/* binding */ payloadOf),
  ct: () => (/* binding */ CredentialsError),
  d: () => (/* binding */ recallWays),
  dt: () => (/* binding */ errorMessage),
  et: () => (/* binding */ matchSnapshots),
  f: () => (/* binding */ ProblemsError),
  ft: () => (/* binding */ explain),
  g: () => (/* binding */ costsOf),
  gt: () => (/* binding */ isClockCorrected),
  h: () => (/* binding */ copyingTime),
  ht: () => (/* binding */ isAbsent),
  i: () => (/* binding */ maxChainedSeconds),
  it: () => (/* binding */ snapshotIdsOf),
  j: () => (/* binding */ tagKeys),
  jt: () => (/* binding */ rootCode),
  k: () => (/* binding */ ownTagCount),
  kt: () => (/* binding */ isWithoutEffect),
  l: () => (/* binding */ tokenRemedy),
  lt: () => (/* binding */ StepError),
  m: () => (/* binding */ failedRecord),
  mt: () => (/* binding */ hasCode),
  n: () => (/* binding */ ledgerProblem),
  nt: () => (/* binding */ registrationOf),
  o: () => (/* binding */ usesToken),
  ot: () => (/* binding */ totalGiB),
  p: () => (/* binding */ StoppedError),
  bE: () => (/* binding */ post),
  pt: () => (/* binding */ explainLine),
  q: () => (/* binding */ hasUefi),
  qt: () => (/* binding */ partitionOf),
  r: () => (/* binding */ openLedger),
  I9: () => (/* binding */ recall),
  rt: () => (/* binding */ snapshotDifferences),
  s: () => (/* binding */ offersToken),
  uM: () => (/* binding */ share),
  st: () => (/* binding */ AwsCallError),
  X0: () => (/* binding */ sweep),
  t: () => (/* binding */ emptyLedger),
  tt: () => (/* binding */ notSet),
  u: () => (/* binding */ tokensEndAt),
  ut: () => (/* binding */ errorCode),
  v: () => (/* binding */ oneLine),
  vt: () => (/* binding */ isDenied),
  w: () => (/* binding */ endedLease),
  wt: () => (/* binding */ isServerError),
  x: () => (/* binding */ planDifferences),
  xt: () => (/* binding */ isLimit),
  y: () => (/* binding */ ownName),
  yt: () => (/* binding */ isDisabledRegion),
  z: () => (/* binding */ runValues),
  zt: () => (/* binding */ tagPolicyCode)
});

// EXTERNAL MODULE: ./rolldown-runtime.js + 1 modules
var rolldown_runtime = __nccwpck_require__(254);
;// CONCATENATED MODULE: external "node:v8"
const external_node_v8_namespaceObject = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:v8");
;// CONCATENATED MODULE: external "node:timers/promises"
const promises_namespaceObject = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:timers/promises");
// EXTERNAL MODULE: external "node:fs"
var external_node_fs_ = __nccwpck_require__(24);
// EXTERNAL MODULE: external "node:path"
var external_node_path_ = __nccwpck_require__(760);
// EXTERNAL MODULE: external "node:crypto"
var external_node_crypto_ = __nccwpck_require__(598);
;// CONCATENATED MODULE: external "os"
const external_os_namespaceObject = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("os");
;// CONCATENATED MODULE: external "crypto"
const external_crypto_namespaceObject = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("crypto");
;// CONCATENATED MODULE: external "fs"
const external_fs_namespaceObject = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("fs");
;// CONCATENATED MODULE: ./index.js











// src/words.ts
function spokenSeconds(seconds) {
	const whole = Math.round(seconds);
	if (whole < 60) return `${whole} s`;
	if (whole < 3600) return `${Math.floor(whole / 60)} m ${whole % 60} s`;
	return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} m`;
}
function counted$1(number, noun, plural = `${noun}s`) {
	return `${number} ${number === 1 ? noun : plural}`;
}
function listed$1(names, most = 10) {
	const more = names.length - most;
	return more > 0 ? `${names.slice(0, most).join(", ")} and ${more} more` : names.join(", ");
}
// src/alike.ts
const namedPlaces$1 = 5;
const toldProblems = 20;
function together(problems) {
	return [...Map.groupBy(problems, (one) => JSON.stringify(anywhere(one))).values()].flatMap((group) => {
		const [first, ...others] = group;
		if (first === void 0) return [];
		const isSame = others.every(({ what, remedy }) => what === first.what && remedy === first.remedy);
		return {
			places: listed$1(group.map(({ where }) => where), namedPlaces$1),
			...isSame ? {
				what: first.what,
				remedy: first.remedy
			} : anywhere(first)
		};
	});
}
function anywhere({ where, what, remedy }) {
	const [, account, region] = /^(\d{12})\/([a-z\d-]+)$/.exec(where) ?? [];
	if (account === void 0 || region === void 0) return {
		what,
		remedy
	};
	const general = (text) => text.replaceAll(account, "{account}").replaceAll(region, "{region}");
	return {
		what: general(what),
		remedy: general(remedy)
	};
}
function problemLine(problems) {
	const remedies = [...new Set(problems.map(({ remedy }) => remedy))].filter(Boolean).join("; ");
	const what = problems.map((one) => one.what.replace(/\.$/, "")).join("; ");
	return remedies === "" ? what : `${what}. What to do: ${remedies}`;
}
function problemLines(problems, all) {
	const different = together(problems);
	const more = different.length - toldProblems;
	return [...different.slice(0, toldProblems).map(({ places, what, remedy }) => `  ${places}: ${what}${remedy && `\n    What to do: ${remedy}`}`), ...more > 0 ? [`  …and ${more} different ones more; ${all}`] : []].join("\n");
}
// src/regions.ts
function partitionOf(region) {
	if (region.startsWith("cn-")) return "aws-cn";
	if (region.startsWith("us-gov-")) return "aws-us-gov";
	return "aws";
}
const alwaysEnabled = new Set([
	...[
		"us-east-1",
		"us-east-2",
		"us-west-1",
		"us-west-2",
		"ca-central-1",
		"sa-east-1"
	],
	...[
		"eu-central-1",
		"eu-north-1",
		"eu-west-1",
		"eu-west-2",
		"eu-west-3"
	],
	...[
		"ap-northeast-1",
		"ap-northeast-2",
		"ap-northeast-3",
		"ap-south-1",
		"ap-southeast-1",
		"ap-southeast-2"
	]
]);
function isOptIn(region) {
	return partitionOf(region) === "aws" && !alwaysEnabled.has(region);
}
function isRegionName(text) {
	return /^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$/.test(text);
}
function isUnknownPartition(region) {
	return /^(eusc|us-isof?|us-isob|eu-isoe)-/.test(region);
}
function audienceOf(partition) {
	return partition === "aws-cn" ? "sts.amazonaws.com.cn" : "sts.amazonaws.com";
}
const unknownPartition = "is in a partition that this action does not know; it knows aws, aws-cn and aws-us-gov";
function consoleUrl(region, amiId) {
	return `https://${region}.${{
		aws: "console.aws.amazon.com",
		"aws-cn": "console.amazonaws.cn",
		"aws-us-gov": "console.amazonaws-us-gov.com"
	}[partitionOf(region)]}/ec2/home?region=${region}#ImageDetails:imageId=${encodeURIComponent(amiId)}`;
}
// src/time.ts
var CancelError = class extends Error {
	name = "CancelError";
};
var TimeOutError = class extends Error {
	name = "TimeOutError";
};
var LateError = class extends Error {
	name = "LateError";
	remedy;
	constructor(message, remedy) {
		super(message);
		this.remedy = remedy;
	}
};
const systemClock = {
	now: Date.now,
	async sleep(ms, signal) {
		try {
			await (0,promises_namespaceObject.setTimeout)(ms, void 0, { signal });
		} catch (error) {
			throw signal.aborted ? signal.reason : error;
		}
	},
	after(ms, reason = new DOMException(`not within ${ms / 1e3} s`, "TimeoutError")) {
		const controller = new AbortController();
		setTimeout(() => controller.abort(reason), ms).unref();
		return controller.signal;
	}
};
// src/aws/template-parameters.ts
const readingUsers = [
	"ec2:DescribeInstances",
	"ec2:DescribeLaunchTemplates",
	"ec2:DescribeLaunchTemplateVersions",
	"ec2:DescribeImageReferences",
	"autoscaling:DescribeAutoScalingGroups",
	"autoscaling:DescribeLaunchConfigurations",
	"ssm:DescribeParameters",
	"imagebuilder:ListImageRecipes",
	"imagebuilder:ListContainerRecipes",
	"ssm:GetParameters",
	"imagebuilder:GetImageRecipe",
	"imagebuilder:GetContainerRecipe"
];
const features = {
	source: {
		"RouteCopy=true": ["ec2:ModifyImageAttribute"],
		"KeyAccessByPolicy=true": ["kms:GetKeyPolicy", "kms:PutKeyPolicy"],
		"Parameter=<parameter>": ["ssm:GetParameter"],
		"FromInstances=true": [
			"ec2:DescribeInstances",
			"ec2:DescribeVolumes",
			"ec2:CreateImage"
		],
		"ScanGate=true": ["ec2:GetImageFindings"]
	},
	target: {
		"RouteCopy=true": [
			"ec2:GetAllowedImagesSettings",
			"ec2:GetImageAncestry",
			"ec2:CopyImage",
			"ec2:ModifyImageAttribute"
		],
		"Publish=true": [
			"ec2:DescribeAvailabilityZones",
			"ec2:ModifyImageAttribute",
			"ec2:EnableImageDeprecation",
			"ec2:EnableImageDeregistrationProtection",
			"ec2:EnableFastSnapshotRestores",
			"kms:GetKeyPolicy",
			"kms:ListGrants"
		],
		"Parameter=<parameter>": [
			"ssm:GetParameter",
			"ssm:GetParameterHistory",
			"ssm:PutParameter",
			"ssm:AddTagsToResource",
			"ssm:DeleteParameter"
		],
		"LaunchTemplate=*": [
			"ec2:DescribeLaunchTemplateVersions",
			"ec2:CreateLaunchTemplateVersion",
			"ec2:ModifyLaunchTemplate",
			"ec2:DeleteLaunchTemplateVersions"
		],
		"Retain=true": [
			...readingUsers,
			"ec2:DescribeImageUsageReports",
			"ec2:DescribeImageUsageReportEntries",
			"ec2:DisableImageDeregistrationProtection"
		],
		"RetainShared=true": ["ec2:CreateImageUsageReport", "ec2:DeleteImageUsageReport"],
		"InstanceTypes=true": ["ec2:ReplaceImageInstanceTypeSpecification"],
		"RecycleBin=true": ["ec2:RestoreImageFromRecycleBin"],
		"BootTest=true": [
			"ec2:DescribeSubnets",
			"ec2:DescribeSecurityGroups",
			"ec2:DescribeInstanceTypes",
			"ec2:DescribeInstanceTypeOfferings",
			"ec2:DescribeInstances",
			"ec2:DescribeInstanceStatus",
			"ec2:RunInstances",
			"ec2:TerminateInstances",
			"ec2:GetConsoleOutput",
			"ec2:GetConsoleScreenshot",
			"ssm:DescribeInstanceInformation",
			"iam:GetInstanceProfile"
		],
		"BootRoleArns=<arn>": ["iam:PassRole"]
	},
	"target-audit": {
		"Audit=true": [
			"ec2:DescribeInstances",
			"ec2:DescribeFastSnapshotRestores",
			"ec2:DescribeLaunchTemplateVersions",
			"ec2:DescribeAvailabilityZones",
			"ec2:GetImageAncestry",
			"kms:ListGrants"
		],
		"Audit=true and Parameter=<parameter>": ["ssm:GetParameter"]
	},
	"source-recall": { "IncludeSource=true": [
		...readingUsers,
		"ec2:DescribeImageAttribute",
		"ec2:DisableImage",
		"ec2:EnableImage",
		"ec2:EnableImageDeprecation",
		"ec2:DisableImageDeprecation",
		"ec2:ModifyImageAttribute",
		"ec2:DescribeSnapshotAttribute",
		"ssm:GetParametersByPath",
		"ssm:PutParameter",
		"ssm:AddTagsToResource",
		"ssm:DeleteParameters"
	] },
	"target-recall": {
		"Parameter=<parameter>": ["ssm:GetParameter"],
		"LaunchTemplate=*": [
			"ec2:CreateLaunchTemplateVersion",
			"ec2:ModifyLaunchTemplate",
			"ec2:DeleteLaunchTemplateVersions"
		]
	}
};
const lists = {
	source: {
		"ec2:ModifySnapshotAttribute": "name every target account in TargetAccounts",
		"kms:CreateGrant": "name every target account in TargetAccounts"
	},
	target: { "kms:CreateGrant": "name the principals of grant-key-to in GrantKeyTo" }
};
function parametersFor({ side, action, resources }) {
	if (side === void 0) return void 0;
	const list = lists[side]?.[action];
	if (list !== void 0) return list;
	const parameters = Object.entries(features[side]).flatMap(([parameter, actions]) => actions.includes(action) ? parameter : []);
	if (parameters.length === 0) return void 0;
	const [, name] = /:parameter\/(.+)$/.exec(resources[0] ?? "") ?? [];
	return `set ${parameters.join(" or ")}`.replace("<parameter>", name ?? "<parameter>").replace("<arn>", resources[0] ?? "<arn>");
}
function sourceKeyParameter(keyArn, sourceRegion) {
	return keyArn.includes(`:kms:${sourceRegion}:`) ? `set SourceKeyArn=${keyArn}` : `name ${keyArn} in HubKeyArns`;
}
function templateFirst(parameters, statement) {
	return parameters === void 0 ? statement : `where templates/ made the role, ${parameters}; else ${statement}`;
}
// src/aws/denial.ts
function statement(action, resources) {
	return JSON.stringify({
		Effect: "Allow",
		Action: action,
		Resource: resources.length === 1 ? resources[0] : resources
	});
}
function deniedIn(words) {
	const found = /User: (\S+) is not authorized to perform: (\w+:\w+)(?: on resource: (arn:\S+))?/.exec(words);
	if (found === null) return void 0;
	const [, principal = "", action = "", resource] = found;
	return {
		principal: principal.replace(/^arn:([^:]+):sts::(\d+):assumed-role\/([^/]+)\/.*$/, "arn:$1:iam::$2:role/$3"),
		action,
		resource
	};
}
const policyKinds = {
	"identity-based policy": "the policies of the role",
	"permissions boundary": "the role's permissions boundary",
	"session policy": "the session policy that the session was made with: what made the credentials in the environment may have passed one (inline-session-policy, managed-session-policies)",
	"service control policy": "the organization's service control policies (SCP), which its management account changes",
	"resource control policy": "the organization's resource control policies (RCP), which its management account changes",
	"VPC endpoint policy": "the policy of the VPC endpoint that the runner's calls go through",
	"resource-based policy": "the resource's own policy"
};
const kinds = Object.keys(policyKinds);
function policyIn(words) {
	const [, explicit, lacking] = /(?:with an explicit deny in (?:an? )?([\w -]+?policy|permissions boundary)|because no ([\w -]+?policy|permissions boundary) allows)/i.exec(words) ?? [];
	const named = (explicit ?? lacking)?.toLowerCase();
	const kind = kinds.find((one) => one.toLowerCase() === named);
	return kind && {
		kind,
		explicit: explicit !== void 0
	};
}
function lacksIn(words, kind) {
	const policy = policyIn(words);
	return policy?.kind === kind && !policy.explicit;
}
const tagPolicyCode = "TagPolicyViolation";
const tagPolicyRemedy = "give that key the spelling and a value that the policy allows, in tags or intermediate-tags; a tag of the source's own is overridden by one of tags, and left out with copy-tags: false. What is allowed: aws organizations describe-effective-policy --policy-type TAG_POLICY, in that account";
const creating = /^ec2:(CopyImage|CopySnapshot|CreateImage|RegisterImage|CreateTags)$/;
const guarded = /^ec2:(DeregisterImage|DeleteSnapshot|DeleteTags|CreateTags|Modify\w+|Enable\w+|Disable\w+)$/;
function denialRemedy(denial) {
	const remedy = remedyByKind(denial);
	return denial.action === "iam:PassRole" ? `the instance of boot-test gets ${denial.resources[0]} by boot-instance-profile; ${remedy}` : remedy;
}
function remedyByKind(denial) {
	const { whose, action, resources, words } = denial;
	const policy = policyIn(words);
	const allowing = statement(action, resources);
	const add = templateFirst(parametersFor(denial), `add to ${whose}: ${allowing}`);
	if (policy === void 0) return words.includes("explicit deny") ? `${add}, and see which policy denies it` : add;
	const { kind, explicit } = policy;
	if (kind === "identity-based policy") return explicit ? guardRemedy(whose, action) : add;
	if (kind === "resource-based policy" && !explicit) return `${add}; and the key's policy, or a grant, must let it`;
	const where = policyKinds[kind];
	return explicit ? `no statement that allows ${action} helps: it is denied by ${where}. Have it excepted there for this role${creating.test(action) ? "; or, where tags are demanded of what is made, give them in tags (or intermediate-tags, if those are set)" : ""}` : `have ${action} allowed by ${where}: ${allowing}`;
}
function guardRemedy(whose, action) {
	return guarded.test(action) ? `a statement in ${whose} denies ${action}. The published policies deny it on what does not bear this action's tags: leave that statement, and check the tags of the resource. Any other statement that denies it has to go` : `take the statement that denies ${action} out of ${whose}`;
}
function lackOf({ role, side, action, resources, tagged = [], words }) {
	if (words.startsWith("TagPolicyViolation")) return {
		what: `a tag policy refuses what ${role} is to make by ${action} (${words})`,
		remedy: tagPolicyRemedy
	};
	const found = deniedIn(words);
	const denied = found?.action ?? action;
	const other = denied.startsWith("ec2:") ? void 0 : found?.resource;
	const others = other === void 0 ? resources : [other];
	const on = denied === "ec2:CreateTags" && tagged.length > 0 ? tagged : others;
	return {
		what: `${role} is not allowed to call ${denied}${other === void 0 ? "" : ` on ${other}`}`,
		remedy: denialRemedy({
			whose: "its policy",
			side,
			action: denied,
			resources: on,
			words
		})
	};
}
// src/aws/errors.ts
function placeName({ account, region }) {
	return `${account}/${region}`;
}
var AwsCallError = class extends Error {
	name = "AwsCallError";
	action;
	code;
	awsMessage;
	where;
	remedy;
	side;
	constructor({ action, where, resource, remedy, side }, cause) {
		const code = errorCode(cause);
		const awsMessage = errorMessage(cause);
		super(`${action}${resource === void 0 ? "" : ` of ${resource}`} in ${placeName(where)}: ${code}: ${awsMessage}`, { cause });
		this.action = action;
		this.code = code;
		this.awsMessage = awsMessage;
		this.where = where;
		this.remedy = remedy;
		this.side = side;
	}
};
var CredentialsError = class extends Error {
	name = "CredentialsError";
	remedy;
	constructor(what, { remedy, cause } = {}) {
		super(what, { cause });
		this.remedy = remedy;
	}
};
var StepError = class extends Error {
	name = "StepError";
	remedy;
	constructor(step, cause, remedy) {
		super(`${step}: ${errorMessage(cause)}`, { cause });
		this.remedy = remedy ?? remedyOf(cause);
	}
};
function errorCode(error) {
	if (error instanceof AwsCallError) return error.code;
	if (!(error instanceof Error)) return "Error";
	if (error.name === "Error" && "code" in error && typeof error.code === "string") return error.code;
	if ("Code" in error && typeof error.Code === "string") return error.Code;
	return error.name;
}
function rootCode(error) {
	for (let at = error; at instanceof Error; at = at.cause) if (at instanceof AwsCallError) return at.code;
}
function errorMessage(error) {
	return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").replace(/ ?Encoded authorization failure message: \S+/, "").trim();
}
function hasCode(error, ...codes) {
	return codes.includes(errorCode(error));
}
const unseenCodes = [
	"InvalidAMIID.NotFound",
	"InvalidAMIID.Unavailable",
	"InvalidSnapshot.NotFound"
];
function isUnseen(error) {
	return hasCode(error, ...unseenCodes);
}
const absentCodes = [
	"NotFound",
	"Unavailable",
	"Malformed"
].flatMap((what) => [
	"InvalidAMIID",
	"InvalidSnapshotID",
	"InvalidSnapshot"
].map((of) => `${of}.${what}`));
function isAbsent(error) {
	return hasCode(error, ...absentCodes);
}
function httpStatus(error) {
	if (error instanceof AwsCallError) return httpStatus(error.cause);
	if (typeof error !== "object" || error === null || !("$metadata" in error)) return void 0;
	const { $metadata } = error;
	return $metadata?.httpStatusCode;
}
const throttlingCodes = new Set([
	"RequestLimitExceeded",
	"Throttling",
	"ThrottlingException",
	"ThrottledException",
	"TooManyRequestsException",
	"RequestThrottled",
	"RequestThrottledException",
	"SlowDown",
	"BandwidthLimitExceeded",
	"EC2ThrottledException"
]);
function isThrottling(error) {
	return throttlingCodes.has(errorCode(error)) || httpStatus(error) === 429;
}
function isRead(action) {
	return /^(Describe|Get|List)/.test(action);
}
function isUnknownHost(error) {
	return error.neverResolved === true;
}
function triesAfter(error, most) {
	return isUnknownHost(error) ? Math.min(2, most) : most;
}
const unsentCodes = new Set([
	"ECONNREFUSED",
	"ENOTFOUND",
	"EAI_AGAIN",
	"EHOSTUNREACH",
	"ENETUNREACH"
]);
function isUnsent(error) {
	if (error instanceof AwsCallError) return isUnsent(error.cause);
	const code = errorCode(error);
	if (unsentCodes.has(code)) return true;
	const { statusCode, syscall } = error;
	if (code === "ERR_PROXY_TUNNEL") return statusCode === void 0 || statusCode >= 500;
	if (!["ECONNRESET", "ETIMEDOUT"].includes(code)) return false;
	return syscall === "connect" || /before secure TLS connection was established/.test(errorMessage(error));
}
function isWithoutEffect(error) {
	return isThrottling(error) || isUnsent(error) || isRefusalOfCredentials(error);
}
const transientCodes = new Set([
	"ECONNRESET",
	"ECONNABORTED",
	"EPIPE",
	"ETIMEDOUT",
	"TimeoutError",
	"RequestTimeout",
	"RequestTimeoutException",
	"InternalError",
	"InternalFailure",
	"InternalServerError",
	"ServiceUnavailable",
	"ServiceUnavailableException",
	"Unavailable",
	"DependencyTimeoutException",
	"KMSInternalException",
	"IDPCommunicationError",
	"IDPCommunicationErrorException",
	"UnreadableAnswer"
]);
function isUnknownAction(error) {
	return hasCode(error, ...[
		"InvalidAction",
		"NotImplemented",
		"UnknownOperationException",
		"UnsupportedOperation"
	]) || httpStatus(error) === 501;
}
const capacityCodes = [
	"InsufficientInstanceCapacity",
	"InsufficientHostCapacity",
	"InsufficientCapacity"
];
function isTransient(error) {
	if (hasCode(error, ...capacityCodes)) return false;
	return transientCodes.has(errorCode(error)) || isUnsent(error) || isServerError(error) || isClosedConnection(error);
}
function isServerError(error) {
	const status = httpStatus(error) ?? 0;
	return status >= 500 && status !== 501;
}
function isClosedConnection(error) {
	if (error instanceof AwsCallError) return isClosedConnection(error.cause);
	return error instanceof Error && /socket hang up|other side closed|premature close/i.test(error.message);
}
const lastingLimits = new Set(["TagLimitExceeded", "ParameterMaxVersionLimitExceeded"]);
function isLimit(error) {
	const code = errorCode(error);
	if (isThrottling(error) || lastingLimits.has(code)) return false;
	return /^TooMany|LimitExceeded(Exception|Fault)?$/.test(code) || /\btoo many\b/i.test(errorMessage(error));
}
const expiredCodes = new Set([
	"RequestExpired",
	"ExpiredToken",
	"ExpiredTokenException"
]);
function isExpired(error) {
	return expiredCodes.has(errorCode(error));
}
function isUnknownCredentials(error) {
	if (hasCode(error, "UnrecognizedClientException", "InvalidClientTokenId")) return true;
	return hasCode(error, "AuthFailure") && errorMessage(error).includes("validate the provided access credentials");
}
function isRefusalOfCredentials(error) {
	return isExpired(error) || isUnknownCredentials(error);
}
const skewCodes = [...[
	"AuthFailure",
	"InvalidSignatureException",
	"RequestExpired",
	"RequestInTheFuture",
	"RequestTimeTooSkewed"
], "SignatureDoesNotMatch"];
function isClockCorrected(error) {
	const { $metadata } = error;
	return $metadata?.clockSkewCorrected === true && hasCode(error, ...skewCodes);
}
function isUnsubscribed({ code, awsMessage }) {
	return code === "OptInRequired" && /marketplace/i.test(awsMessage);
}
function isDisabledRegion(error) {
	if (isUnsubscribed(error)) return false;
	if (hasCode(error, "RegionDisabledException", "OptInRequired")) return true;
	const { action, where } = error;
	return !(action === "GetCallerIdentity" || action.startsWith("AssumeRole")) && isOptIn(where.region) && isUnknownCredentials(error);
}
function isDenied(error) {
	const code = errorCode(error);
	return isDenialCode(code) || code === "AuthFailure";
}
function isDenialCode(code) {
	return [
		"UnauthorizedOperation",
		"AccessDenied",
		"AccessDeniedException"
	].includes(code);
}
const remedies = [
	{
		fits: ({ action, code }) => action === "AssumeRoleWithWebIdentity" && code === "AccessDenied",
		remedy: () => "the role's trust policy must name this issuer's OIDC provider, the audience (oidc-audience) and this workflow's sub; repositories made, renamed or moved since July 2026 have a sub of the form repo:owner@id/name@id:…"
	},
	{
		fits: ({ action, awsMessage }) => action === "AssumeRoleWithWebIdentity" && awsMessage.includes("No OpenIDConnect provider"),
		remedy: () => templateFirst("set OidcProvider=true in the source account, OidcProviderRegion to one region in a target account", "create an IAM OIDC identity provider for GitHub's issuer in that account")
	},
	{
		fits: ({ code, awsMessage }) => code.startsWith("InvalidIdentityToken") && awsMessage.includes("audience"),
		remedy: () => "the OIDC provider in that account must list the audience of the input oidc-audience"
	},
	{
		fits: ({ action, awsMessage }) => action.startsWith("AssumeRole") && awsMessage.includes("DurationSeconds"),
		remedy: () => "lower role-duration-seconds, or raise the role's maximum session duration (MaxSessionDuration of templates/); sessions renew themselves either way"
	},
	{
		fits: ({ action, awsMessage }) => action === "AssumeRole" && awsMessage.includes("sts:TagSession"),
		remedy: () => "role-session-tags need sts:TagSession: in the calling principal's policy and in the role's trust policy"
	},
	{
		fits: isUnsubscribed,
		remedy: ({ where }) => `subscribe account ${where.account} to the product, on the page that AWS names`
	},
	{
		fits: isDisabledRegion,
		remedy: ({ where }) => `enable region ${where.region} in account ${where.account}: aws account enable-region --region-name ${where.region} (it takes some minutes), or leave the region out, if it is a target's`
	},
	{
		fits: (error) => isExpired(error) && error.action !== "AssumeRoleWithWebIdentity",
		remedy: () => "the credentials in the environment have ended: have them last longer than the run (role-duration-seconds of aws-actions/configure-aws-credentials), or let the roles trust GitHub and set credentials to oidc"
	},
	{
		fits: isUnknownCredentials,
		remedy: () => "AWS does not know the credentials: see that those in the environment are whole, of this partition and not deleted, and that no other endpoint or proxy answers"
	},
	{
		fits: ({ awsMessage }) => /BillingProduct codes cannot be copied/i.test(awsMessage),
		remedy: () => "AWS copies no image with this billing to another account. Its documented way: share the image, launch an instance of it in the target account, and make the AMI of that instance (instance-id)"
	},
	{
		fits: ({ awsMessage }) => /Marketplace cannot be copied/i.test(awsMessage),
		remedy: () => "AWS copies no Marketplace image to another account. Subscribe there, launch an instance, and make the AMI of that instance (instance-id)"
	},
	{
		fits: ({ awsMessage }) => /permission to access the storage/i.test(awsMessage),
		remedy: () => "every snapshot of the image must be shared with this account, by its owner; check that nothing takes the shares away while this runs"
	},
	{
		fits: ({ code, awsMessage }) => {
			const denied = deniedIn(awsMessage);
			if (denied === void 0 || !isDenialCode(code)) return false;
			return denied.resource !== void 0 || !denied.action.startsWith("kms:");
		},
		remedy: ({ awsMessage, side }) => {
			const { principal = "", action = "", resource = "*" } = deniedIn(awsMessage) ?? {};
			return denialRemedy({
				whose: `the policy of ${principal}`,
				side,
				action,
				resources: [resource],
				words: awsMessage
			});
		}
	},
	{
		fits: ({ code }) => code === "UnauthorizedOperation",
		remedy: ({ action, where }) => {
			return `allow ec2:${action}${action === "RunInstances" ? ", and iam:PassRole on the role of boot-instance-profile," : ""} to the role in account ${where.account} (docs/permissions.md has the policies)`;
		}
	},
	{
		fits: ({ code }) => code === "ERR_PROXY_TUNNEL",
		remedy: () => "have the proxy of HTTPS_PROXY let the runner through to that host (user name and password are part of its URL), or name the host in NO_PROXY"
	},
	{
		fits: ({ code }) => /^CERT_|_CERT(_|$)|^UNABLE_TO_VERIFY/.test(code),
		remedy: () => "Node does not trust the certificate of what answered: if that is a proxy with a CA of its own, name the CA's file in NODE_EXTRA_CA_CERTS, in the env of the step"
	},
	{
		fits: ({ code }) => ["ENOTFOUND", "EAI_AGAIN"].includes(code),
		remedy: () => "see that the region exists, and that the runner can look that name up; behind a proxy, HTTPS_PROXY must be a URL such as http://proxy.example.com:3128"
	},
	{
		fits: (error) => isUnsent(error) || /did not establish a connection/.test(error.awsMessage),
		remedy: () => "see what keeps the runner from connecting: a firewall (docs/security.md lists the endpoints), or a proxy that it has to take (HTTPS_PROXY)"
	},
	{
		fits: ({ code }) => code === "NotFromAws",
		remedy: () => "see what is between the runner and AWS: a proxy, a firewall or an endpoint refuses the call in AWS's place"
	},
	{
		fits: ({ code }) => code === "ParameterNotFound",
		remedy: ({ where }) => `create the parameter in ${placeName(where)}, or correct ami-ssm-parameter or source-region`
	},
	{
		fits: ({ action, code }) => action === "DescribeKey" && code === "NotFoundException",
		remedy: () => "an alias is of one account and region: create the key there (templates/ do: source-account.yaml, source-hub.yaml for a hub, target-account.yaml), or name another"
	},
	{
		fits: ({ code, awsMessage }) => code === "OperationNotPermitted" && awsMessage.includes("default key"),
		remedy: () => "the snapshot is under aws/ebs; give source-kms-key, so that it is copied under a customer managed key first"
	},
	{
		fits: ({ code, awsMessage }) => code === "AccessDeniedException" && awsMessage.includes("kms:"),
		remedy: ({ awsMessage, where }) => `allow ${/kms:\w+/.exec(awsMessage)?.[0]} on that key: in the role's own policy and, where the key is another account's, in the key policy or a grant too (called from account ${where.account})`
	},
	{
		fits: ({ code, awsMessage }) => code === "MalformedPolicyDocumentException" && awsMessage.includes("principals"),
		remedy: () => "KMS takes no policy that names a principal which does not exist. Remove from the policy of the key what was deleted (it stands there as AROA… or AIDA…), and check that the target accounts exist"
	},
	{
		fits: ({ action, code }) => action === "PutKeyPolicy" && code === "LimitExceededException",
		remedy: () => "set source-key-access to grant, or shorten the policy of the key"
	},
	{
		fits: ({ action, code }) => action === "CreateGrant" && code === "LimitExceededException",
		remedy: ({ where }) => `a key takes 50,000 grants: revoke those that nothing needs any more (aws kms list-grants --region ${where.region}), or give another key`
	},
	{
		fits: ({ code }) => code === "TagLimitExceeded",
		remedy: () => "take a tag off it: a resource has 50 at most"
	},
	{
		fits: ({ code }) => code === tagPolicyCode,
		remedy: () => tagPolicyRemedy
	},
	{
		fits: ({ code }) => code === "InvalidAMIName.Duplicate",
		remedy: () => "choose another target-ami-name, or deregister the AMI that has this one; where that is in the Recycle Bin, whose rule may keep its name, leave such AMIs out of the rule"
	}
];
function remedyOf(error) {
	for (let at = error; at instanceof Error; at = at.cause) {
		if (at instanceof StepError || at instanceof CredentialsError || at instanceof LateError) return at.remedy;
		if (at instanceof AwsCallError) {
			const call = at;
			return call.remedy ?? remedies.find(({ fits }) => fits(call))?.remedy(call);
		}
	}
}
function explain(error) {
	return {
		message: errorMessage(error),
		remedy: remedyOf(error)
	};
}
function explainLine(error) {
	const { message, remedy } = explain(error);
	return remedy === void 0 ? message : `${message.replace(/\.$/, "")}. What to do: ${remedy}`;
}
// src/image.ts
function hasUefi({ BootMode, Architecture }) {
	return BootMode === "uefi" || BootMode === "uefi-preferred" || BootMode === void 0 && Architecture === "arm64";
}
function snapshotIdsOf(image) {
	const ids = (image.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.SnapshotId ? [Ebs.SnapshotId] : []);
	return [...new Set(ids)];
}
function imageIdsOf(images) {
	return images.flatMap(({ ImageId }) => ImageId ?? []);
}
function idsOf(snapshots) {
	return snapshots.flatMap(({ SnapshotId }) => SnapshotId === void 0 ? [] : [SnapshotId]);
}
function totalGiB(snapshots) {
	return snapshots.reduce((sum, { sizeGiB }) => sum + sizeGiB, 0);
}
function matchSnapshots(source, copy) {
	const byDevice = new Map((copy.BlockDeviceMappings ?? []).map(({ DeviceName, Ebs }) => [DeviceName, Ebs?.SnapshotId]));
	const matched = new Map();
	for (const { DeviceName, Ebs } of source.BlockDeviceMappings ?? []) {
		const id = byDevice.get(DeviceName);
		if (Ebs?.SnapshotId && id !== void 0) matched.set(Ebs.SnapshotId, id);
	}
	return matched;
}
function registrationOf(options) {
	const { source, extras, name, description, copies, tags } = options;
	return {
		Name: name,
		...description && { Description: description },
		Architecture: source.Architecture,
		VirtualizationType: source.VirtualizationType,
		RootDeviceName: source.RootDeviceName,
		EnaSupport: source.EnaSupport ?? false,
		...source.SriovNetSupport && { SriovNetSupport: source.SriovNetSupport },
		...source.BootMode && { BootMode: source.BootMode },
		...source.TpmSupport && { TpmSupport: source.TpmSupport },
		...source.ImdsSupport && { ImdsSupport: source.ImdsSupport },
		...extras.uefiData && { UefiData: extras.uefiData },
		BlockDeviceMappings: (source.BlockDeviceMappings ?? []).map((mapping) => mappingOf(mapping, copies)),
		TagSpecifications: [{
			ResourceType: "image",
			Tags: tags
		}]
	};
}
function mappingOf(mapping, copies) {
	const { DeviceName, VirtualName, NoDevice, Ebs } = mapping;
	if (Ebs === void 0) return {
		DeviceName,
		...VirtualName && { VirtualName },
		...NoDevice !== void 0 && { NoDevice }
	};
	const { SnapshotId, Encrypted, VolumeType, VolumeSize, Iops, Throughput, DeleteOnTermination, EbsCardIndex } = Ebs;
	return {
		DeviceName,
		Ebs: {
			...SnapshotId ? { SnapshotId: copies.get(SnapshotId) ?? missing(SnapshotId) } : { Encrypted: Encrypted ?? false },
			...VolumeSize !== void 0 && { VolumeSize },
			...VolumeType && { VolumeType },
			...Iops !== void 0 && takesIops(VolumeType) && { Iops },
			...Throughput !== void 0 && VolumeType === "gp3" && { Throughput },
			...DeleteOnTermination !== void 0 && { DeleteOnTermination },
			...EbsCardIndex !== void 0 && { EbsCardIndex }
		}
	};
}
function takesIops(volumeType) {
	return volumeType === "io1" || volumeType === "io2" || volumeType === "gp3";
}
function missing(snapshotId) {
	throw new Error(`there is no copy of ${snapshotId}`);
}
const notSet = "not set";
const notKnown = "not known";
function isMissing({ target }) {
	return target === "not set" || target === notKnown;
}
function differenceText({ field, source, target, asked }) {
	return asked ? `${field} is ${target}, but ${source} was asked for` : `${field} is ${target}, but ${source} in the source`;
}
const comparedFields = [
	"Architecture",
	"VirtualizationType",
	"RootDeviceName",
	"RootDeviceType",
	"EnaSupport",
	"SriovNetSupport",
	"BootMode",
	"TpmSupport",
	"ImdsSupport",
	"ImageWatermarks",
	"InstanceTypeSpecification"
];
const billingFields = [
	"Platform",
	"PlatformDetails",
	"UsageOperation",
	"ProductCodes"
];
const regionalFields = ["KernelId", "RamdiskId"];
const comparedVolumeFields = [
	"VolumeType",
	"VolumeSize",
	"Iops",
	"Throughput",
	"DeleteOnTermination",
	"EbsCardIndex"
];
function differences$1(source, target, { lostBilling, otherRegion }) {
	const found = [
		...comparedFields,
		...lostBilling ? [] : billingFields,
		...otherRegion ? [] : regionalFields
	].flatMap((field) => compared(field, counted(source, field), counted(target, field)));
	const here = new Map((target.BlockDeviceMappings ?? []).map((mapping) => [mapping.DeviceName, mapping]));
	for (const mapping of source.BlockDeviceMappings ?? []) {
		found.push(...deviceDifferences(mapping, here.get(mapping.DeviceName)));
		here.delete(mapping.DeviceName);
	}
	for (const name of here.keys()) found.push(...compared(`BlockDeviceMappings[${name}]`, void 0, "there"));
	return found;
}
function compared(field, there, here) {
	return there === here ? [] : [{
		field,
		source: show$1(there),
		target: show$1(here)
	}];
}
function deviceDifferences(there, here) {
	const name = `BlockDeviceMappings[${there.DeviceName}]`;
	if (here === void 0) return compared(name, "there", void 0);
	return [
		...compared(`${name}.VirtualName`, there.VirtualName, here.VirtualName),
		...compared(`${name}.NoDevice`, there.NoDevice !== void 0, here.NoDevice !== void 0),
		...compared(`${name}.Ebs`, there.Ebs !== void 0, here.Ebs !== void 0),
		...there.Ebs && here.Ebs ? volumeDifferences(`${name}.Ebs`, there.Ebs, here.Ebs) : []
	];
}
function volumeDifferences(name, there, here) {
	const stated = comparedVolumeFields.filter((field) => isStated(there, field));
	const encrypted = there.SnapshotId !== void 0 || (there.Encrypted ?? false);
	return [
		...stated.flatMap((field) => compared(`${name}.${field}`, there[field], here[field])),
		...compared(`${name}.Encrypted`, encrypted, here.Encrypted ?? (here.SnapshotId ? encrypted : false)),
		...compared(`${name}.SnapshotId`, there.SnapshotId !== void 0, here.SnapshotId !== void 0)
	];
}
function extrasDifferences(source, target) {
	if (source.uefiData === target.uefiData) return [];
	const told = (uefiData, other) => uefiData === void 0 ? notSet : other;
	return [{
		field: "UefiData",
		source: told(source.uefiData, "of its own"),
		target: told(target.uefiData, "another")
	}];
}
function asRead(text = "") {
	return text.trim() === "" && text.includes("\n") ? "" : text;
}
function tagDifferences(asked, image) {
	const actual = new Map((image.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
	return asked.filter(({ Key, Value }) => actual.get(Key) !== asRead(Value)).map(({ Key, Value }) => ({
		field: `the tag ${Key}`,
		source: show$1(Value),
		target: show$1(actual.get(Key)),
		asked: true
	}));
}
function snapshotDifferences(kmsKeyArn, image, snapshots) {
	const known = new Map([...snapshots].map((snapshot) => [snapshot.SnapshotId, snapshot]));
	return snapshotIdsOf(image).flatMap((id) => {
		const { KmsKeyId = notKnown, StorageTier } = known.get(id) ?? {};
		const differs = (field, source, target) => source === target ? [] : [{
			field: `${field} of ${id}`,
			source,
			target,
			asked: true
		}];
		return [...differs("the key", kmsKeyArn, KmsKeyId), ...differs("the storage tier", "standard", StorageTier || "standard")];
	});
}
function counted(image, field) {
	switch (field) {
		case "ProductCodes": return listed(image.ProductCodes?.map(({ ProductCodeId }) => ProductCodeId));
		case "ImageWatermarks": return listed(image.ImageWatermarks?.map(({ WatermarkKey }) => WatermarkKey));
		case "InstanceTypeSpecification": return instanceTypesOf(image);
		case "RootDeviceType": return image.RootDeviceType ?? "ebs";
		case "PlatformDetails": return image.PlatformDetails || "Linux/UNIX";
		case "UsageOperation": return image.UsageOperation || "RunInstances";
		default: return image[field] || void 0;
	}
}
function isStated(ebs, field) {
	if (ebs[field] === void 0) return false;
	if (field === "Iops") return takesIops(ebs.VolumeType);
	return field !== "Throughput" || ebs.VolumeType === "gp3";
}
function instanceTypesOf({ InstanceTypeSpecification: specification }) {
	const { SupportedInstanceTypes = [], UnsupportedInstanceTypes = [] } = specification ?? {};
	return listed([...SupportedInstanceTypes.map(({ InstanceType }) => InstanceType), ...UnsupportedInstanceTypes.map(({ InstanceType }) => `not ${InstanceType}`)]);
}
function listed(items = []) {
	return items.toSorted().join(", ") || void 0;
}
function show$1(value) {
	return value === void 0 ? notSet : String(value);
}
function isImageId(text) {
	return /^ami-([0-9a-f]{8}|[0-9a-f]{17})$/.test(text);
}
function isImageName(name) {
	return /^[\w()[\] ./'@-]{3,128}$/.test(name);
}
function describedAs({ Description = "" }) {
	return Description === "" || /^\[Copied ami-[0-9a-f]+ from [a-z0-9-]+\]/.test(Description) ? void 0 : Description;
}
function isImageDescription(description) {
	return /^[\x20-\x7e]{0,255}$/.test(description);
}
// src/plain-data.ts
function parseJson(text) {
	try {
		return JSON.parse(text);
	} catch {
		throw new Error("it is not JSON");
	}
}
function isRecord(value) {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
const isText = (value) => typeof value === "string";
const isTexts = (value) => isListOf(value, isText);
function isListOf(value, isOne) {
	return Array.isArray(value) && value.every(isOne);
}
// src/template.ts
const placeholders = [
	"account",
	"region",
	"name",
	"source-ami",
	"date",
	"sha",
	"run-id"
];
const shortestTarget = {
	account: "0".repeat(12),
	region: "us-east-1"
};
const shortestSource = {
	name: "abc",
	"source-ami": "ami-00000000"
};
const placeholder = /\{([a-z-]+)\}/g;
function unknownPlaceholders(template) {
	return [...template.matchAll(placeholder)].filter(([, name]) => !placeholders.some((known) => known === name)).map(([written]) => written);
}
function needsSourceImage(template) {
	return /\{(name|source-ami)\}/.test(template);
}
const ofAnyRun = {
	date: "\\d{8}",
	sha: "[0-9a-f]*",
	"run-id": "\\d*",
	name: ".*"
};
function filledByAnyRun(template, values) {
	const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
	const parts = fill(template, values).split(placeholder);
	return new RegExp(`^${parts.map((part, index) => index % 2 === 1 ? ofAnyRun[part] : escaped(part)).join("")}$`);
}
function fill(template, values) {
	return template.replace(placeholder, (written, name) => Object.hasOwn(values, name) ? values[name] ?? written : written);
}
// src/inputs/reader.ts
function runValues(run) {
	return {
		date: run.date.toISOString().slice(0, 10).replaceAll("-", ""),
		sha: run.sha,
		"run-id": run.runId
	};
}
const inputDefaults = {
	"ami-id": "",
	"ami-name": "",
	"ami-ssm-parameter": "",
	"packer-manifest": "",
	"packer-build": "",
	"instance-id": "",
	"no-reboot": "false",
	"max-severity": "",
	"scan-max-age-days": "",
	"scan-required": "true",
	"scan-wait-minutes": "0",
	"fixable-only": "false",
	"source-owners": "self",
	"source-region": "",
	"source-role-arn": "",
	"source-kms-key": "",
	"source-key-access": "grant",
	"target-accounts": "",
	"target-regions": "",
	"target-role-arn": "",
	"target-kms-key": "",
	targets: "",
	"optional-targets": "",
	"exclude-targets": "",
	credentials: "auto",
	"role-chaining": "false",
	"external-id": "",
	"role-session-name": "share-encrypted-ami",
	"role-session-tags": "",
	"role-duration-seconds": "3600",
	"oidc-audience": "sts.amazonaws.com",
	"target-ami-name": "{name}",
	"target-ami-description": "",
	tags: "",
	"copy-tags": "true",
	"intermediate-tags": "",
	route: "auto",
	"allow-lost-billing": "false",
	"on-existing": "reuse",
	"deprecate-after": "",
	"deregistration-protection": "off",
	"fast-snapshot-restore": "",
	"launch-permissions": "",
	"grant-key-to": "",
	"ssm-parameter": "",
	"launch-template": "",
	"launch-template-source-version": "$Latest",
	"launch-template-default": "false",
	promote: "true",
	"boot-test": "off",
	"boot-instance-type": "",
	"boot-subnet": "",
	"boot-security-group": "",
	"boot-instance-profile": "",
	"boot-timeout-minutes": "10",
	"boot-required": "true",
	lineage: "",
	retain: "",
	"retain-days": "0",
	"retain-shared": "keep",
	"dry-run": "false",
	"expect-plan-digest": "",
	"expect-plan-file": "",
	"on-problem": "fail",
	"fail-fast": "false",
	"key-preflight": "fail",
	topology: "direct",
	"hub-kms-key": "",
	"copy-duration-minutes": "",
	"keep-intermediates": "false",
	"max-parallel": "20",
	"poll-interval": "15",
	"timeout-minutes": "",
	"mask-aws-account-id": "false",
	"fail-on": "missing, differs, unknown",
	"target-ami-ids": "",
	reason: "",
	how: "disable",
	replacement: "",
	"include-source": "false",
	restore: "false"
};
const inputNames = Object.keys(inputDefaults);
var InputError = class extends Error {
	name = "InputError";
	problems;
	constructor(problems) {
		const count = problems.length === 1 ? "One input is" : `${problems.length} inputs are`;
		super(`${count} not usable; nothing was changed.\n${problemLines(problems, "the job summary has them all")}`);
		this.problems = problems;
	}
};
function show(value) {
	if (value === "") return "not set";
	return JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value);
}
var Reader = class {
	#problems = new Map();
	#get;
	#yaml;
	constructor(get, yaml) {
		this.#get = get;
		this.#yaml = yaml;
	}
	get yaml() {
		if (this.#yaml === void 0) throw new Error("an input holds YAML, and nothing is there that reads it");
		return this.#yaml;
	}
	get problems() {
		return [...this.#problems.values()];
	}
	get noted() {
		return this.#problems.size;
	}
	text(name) {
		return this.#get(name).trim() || inputDefaults[name];
	}
	raw(name) {
		return this.#get(name);
	}
	optional(name) {
		return this.text(name) || void 0;
	}
	note(input, value, expected) {
		const what = `${show(value)} — ${expected}`;
		this.#problems.set(JSON.stringify([input, what]), {
			where: input,
			what,
			remedy: ""
		});
	}
	checked(input, value, { fits, expected }) {
		if (value !== void 0 && !fits(value)) this.note(input, value, expected);
		return value;
	}
	flag(name) {
		const text = this.text(name).toLowerCase();
		if (text !== "true" && text !== "false") this.note(name, text, "expected true or false");
		return text === "true";
	}
	whole(name, least, most) {
		const text = this.text(name);
		const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
		if (!(value >= least && value <= most)) this.note(name, text, `expected a whole number from ${least} to ${most}`);
		return value;
	}
	oneOf(name, allowed) {
		const text = this.text(name);
		const found = allowed.find((one) => one === text);
		if (found === void 0) this.note(name, text, `expected ${allowed.join(", ").replace(/, ([^,]*)$/, " or $1")}`);
		return found ?? allowed[0];
	}
	list(name) {
		const text = this.text(name);
		const items = text.startsWith("[") ? this.#jsonList(name, text) : text.split(/[\n,]/);
		return [...new Set(items.map((item) => item.trim()).filter(Boolean))];
	}
	#jsonList(name, text) {
		try {
			const items = JSON.parse(text);
			if (isTexts(items)) return items;
		} catch {}
		this.note(name, text, "expected a JSON array of texts in quotes, or the items one a line or with commas");
		return [];
	}
	template(name) {
		return this.templateValue(name, this.text(name));
	}
	templateValue(input, value) {
		for (const unknown of unknownPlaceholders(value ?? "")) this.note(input, value ?? "", `${unknown} is not a placeholder; there are {account}, {region}, {name}, {source-ami}, {date}, {sha} and {run-id}`);
		return value;
	}
};
const accountId = /^\d{12}$/;
const roleArn = /^arn:(aws|aws-cn|aws-us-gov):iam::(\d{12}):role\/[\w+=,.@/-]{1,576}$/;
const keyId = /^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const alias = /^alias\/[\w/-]{1,250}$/;
const keyArn = /^arn:(aws|aws-cn|aws-us-gov):kms:([a-z0-9-]+):(\d{12}):((?:key|alias)\/.+)$/;
function keyProblem(key, region, account) {
	const [, , arnRegion, arnAccount, resource] = keyArn.exec(key) ?? [];
	const name = resource?.replace(/^key\//, "") ?? key;
	if (!alias.test(name) && !keyId.test(name)) return "expected an alias (alias/name), a key ID, or the ARN of either";
	if (name.startsWith("alias/aws/")) return "this is an AWS managed key, which no other account can be given; expected a customer managed key";
	if (arnRegion !== void 0 && arnRegion !== region) return `this key is in ${arnRegion}, but a key is usable only in its own region; expected one in ${region}`;
	if (arnAccount !== void 0 && account !== void 0 && arnAccount !== account) return `this key is in account ${arnAccount}; expected one in account ${account}`;
}
function roleProblem(arn, partition, account) {
	const [, arnPartition, arnAccount] = roleArn.exec(arn) ?? [];
	if (arnAccount === void 0) return "expected the ARN of a role, arn:aws:iam::123456789012:role/name";
	if (arnPartition !== partition) return `this role is in partition ${arnPartition}, but the regions are in ${partition}`;
	if (account !== void 0 && account !== arnAccount) return `this role is in account ${arnAccount}; expected one in account ${account}`;
}
// src/inputs/actions.ts
const own = {
	sweep: [],
	audit: ["fail-on"],
	recall: [
		"target-ami-ids",
		"reason",
		"how",
		"replacement",
		"include-source",
		"restore"
	]
};
const ofPlan = [
	"dry-run",
	"expect-plan-digest",
	"expect-plan-file"
];
const others = new Set(Object.values(own).flat());
const readBySweep = [
	...[
		"source-region",
		"source-role-arn",
		"source-kms-key",
		"source-key-access"
	],
	...[
		"target-accounts",
		"target-regions",
		"target-role-arn",
		"targets",
		"optional-targets",
		"exclude-targets"
	],
	...[
		"credentials",
		"role-chaining",
		"external-id",
		"role-session-name",
		"role-session-tags"
	],
	...[
		"role-duration-seconds",
		"oidc-audience",
		"hub-kms-key",
		"keep-intermediates"
	],
	...["timeout-minutes", "mask-aws-account-id"]
];
const readByRecall = [
	...[
		"ami-id",
		"source-region",
		"source-role-arn"
	],
	...[
		"target-accounts",
		"target-regions",
		"target-role-arn",
		"targets",
		"exclude-targets"
	],
	...[
		"credentials",
		"role-chaining",
		"external-id",
		"role-session-name",
		"role-session-tags"
	],
	...[
		"role-duration-seconds",
		"oidc-audience",
		"ssm-parameter",
		"launch-template"
	],
	...["timeout-minutes", "mask-aws-account-id"]
];
const ofDoing = [
	...[
		"source-kms-key",
		"source-key-access",
		"intermediate-tags",
		"on-existing",
		"retain",
		"retain-days",
		"retain-shared"
	],
	...[
		"on-problem",
		"fail-fast",
		"key-preflight",
		"topology",
		"hub-kms-key",
		"copy-duration-minutes"
	],
	...[
		"keep-intermediates",
		"max-parallel",
		"poll-interval"
	],
	...[
		"boot-test",
		"boot-instance-type",
		"boot-subnet",
		"boot-security-group",
		"boot-instance-profile"
	],
	...["boot-timeout-minutes", "boot-required"],
	...["launch-template-source-version", "promote"],
	...[
		"max-severity",
		"scan-max-age-days",
		"scan-required",
		"scan-wait-minutes",
		"fixable-only"
	]
];
const ofInstance = ["instance-id", "no-reboot"];
const ofShare = inputNames.filter((name) => !others.has(name));
const readByAudit = ofShare.filter((name) => ![
	...ofDoing,
	...ofPlan,
	...ofInstance
].includes(name));
const actionInputs = {
	share: {
		reads: ofShare,
		spare: []
	},
	sweep: {
		reads: [...readBySweep, ...own.sweep],
		spare: spareOf([...readBySweep, ...ofPlan])
	},
	recall: {
		reads: [...readByRecall, ...own.recall],
		spare: spareOf([...readByRecall, ...ofPlan])
	},
	audit: {
		reads: [...readByAudit, ...own.audit],
		spare: spareOf([
			...readByAudit,
			...ofPlan,
			...ofInstance
		])
	}
};
function spareOf(others) {
	return ofShare.filter((name) => !others.includes(name));
}
function noteOthers(reader, action) {
	const { reads, spare } = actionInputs[action];
	for (const name of inputNames) {
		const text = reader.raw(name).trim();
		if (text === "" || text === inputDefaults[name] || reads.includes(name) || spare.includes(name)) continue;
		const takers = Object.entries(actionInputs).flatMap(([taker, inputs]) => inputs.reads.includes(name) ? [taker === "share" ? "the main action" : `the action ${taker}`] : []);
		reader.note(name, text, `is an input of ${takers.join(" and ")}; ${action} does not take it`);
	}
}
// src/digest.ts
const digestParts = [
	"source",
	"targets",
	"keys",
	"names",
	"tags",
	"publish",
	"existing",
	"access"
];
const version = "v1";
function digestText({ pieces, whole }) {
	return `${version}:${digestParts.map((part) => `${part}=${pieces[part]}`).join(",")}:${whole}`;
}
const pattern = new RegExp(`^${version}:${digestParts.map((part) => `${part}=([0-9a-f]{8})`).join(",")}:([0-9a-f]{64})$`);
function parseDigest(text) {
	const [, ...found] = pattern.exec(text) ?? [];
	const whole = found.at(-1);
	if (whole === void 0) return void 0;
	return {
		pieces: Object.fromEntries(digestParts.map((part, index) => [part, found[index] ?? ""])),
		whole
	};
}
function digestProblem(text) {
	if (parseDigest(text) !== void 0) return void 0;
	const [, other] = /^(v\d+):/.exec(text) ?? [];
	return other === void 0 || other === version ? `expected the whole of the output plan-digest of the approved run, ${version}:source=…` : `this digest is of version ${other}, and this version of the action makes ${version}: have a plan of it approved`;
}
// src/text-file.ts
const maxInputFileBytes = 10485760;
function readTextFile(path, maxBytes = Number.POSITIVE_INFINITY) {
	const file = (0,external_node_fs_.openSync)(path, external_node_fs_.constants.O_RDONLY | (external_node_fs_.constants.O_NONBLOCK ?? 0));
	try {
		if (!(0,external_node_fs_.fstatSync)(file).isFile()) throw new Error(`${path} is no regular file`);
		const chunks = [];
		for (let length = 0; length <= maxBytes;) {
			const chunk = Buffer.allocUnsafe(262144);
			const read = (0,external_node_fs_.readSync)(file, chunk);
			if (read === 0) return Buffer.concat(chunks).toString("utf8").replace(/^\uFEFF/, "");
			chunks.push(chunk.subarray(0, read));
			length += read;
		}
		throw new Error(`${path} has more than ${maxBytes / 1024 / 1024} MB`);
	} finally {
		(0,external_node_fs_.closeSync)(file);
	}
}
// src/inputs/expected-plan.ts
function readExpectedPlan(reader, readFile) {
	const digest = reader.optional("expect-plan-digest");
	const file = reader.optional("expect-plan-file");
	if (digest === void 0) {
		if (file !== void 0) reader.note("expect-plan-file", file, "needs expect-plan-digest: the file only lists what differs");
		return;
	}
	const problem = digestProblem(digest);
	if (problem !== void 0) reader.note("expect-plan-digest", digest, problem);
	return {
		digest,
		file,
		approved: file === void 0 ? void 0 : readApproved(reader, file, readFile)
	};
}
function readApproved(reader, path, readFile) {
	try {
		const plan = parseJson(readFile(path, maxInputFileBytes));
		const approved = isRecord(plan) ? plan.approved : void 0;
		if (approved === void 0) reader.note("expect-plan-file", path, "expected the file of the output plan-file of the approved run");
		return approved;
	} catch (error) {
		reader.note("expect-plan-file", path, error instanceof Error ? error.message : String(error));
		return;
	}
}
// src/inputs/hub-key.ts
function readHubKey(reader, sourceRegion, run) {
	const template = reader.templateValue("hub-kms-key", reader.optional("hub-kms-key"));
	if (template === void 0) return void 0;
	const region = /^arn:[^:]*:kms:([a-z\d-]+):/.exec(template)?.[1] ?? sourceRegion;
	const problem = needsSourceImage(template) ? "it cannot hold {name} or {source-ami}" : keyProblem(fill(template, {
		...shortestTarget,
		...runValues(run),
		region
	}), region, void 0);
	if (problem !== void 0 && unknownPlaceholders(template).length === 0) reader.note("hub-kms-key", template, problem);
	return template;
}
// src/inputs/boot.ts
const bootTests = [
	"off",
	"status",
	"ssm"
];
function readBoot(reader, partition, run) {
	const test = reader.oneOf("boot-test", bootTests);
	const checked = (name, text, { pattern, expected }) => {
		const template = reader.templateValue(name, text);
		if (needsSourceImage(template) || unknownPlaceholders(template).length > 0) return template;
		const sample = {
			account: "0".repeat(12),
			region: "us-east-1",
			...runValues(run),
			...shortestSource
		};
		return reader.checked(name, template, {
			fits: () => pattern.test(fill(template, sample)),
			expected
		});
	};
	const one = (name, form) => {
		const text = reader.optional(name);
		return text === void 0 ? void 0 : checked(name, text, form);
	};
	const several = (name, form) => {
		const text = reader.text(name);
		const all = text.startsWith("tag:") ? [text] : reader.list(name);
		if (all.length > 1 && all.some((one) => one.startsWith("tag:"))) reader.note(name, text, "expected IDs, or one tag:Key=Value");
		return all.map((one) => checked(name, one, form));
	};
	const subnets = several("boot-subnet", formOf("subnet", "subnet"));
	if (test === "ssm" && subnets.length === 0) reader.note("boot-subnet", "", "is needed with boot-test: ssm; the agent must reach Systems Manager from it");
	const boot = {
		instanceType: one("boot-instance-type", typeForm),
		subnets,
		securityGroups: several("boot-security-group", formOf("sg", "security group")),
		instanceProfile: one("boot-instance-profile", profileForm(partition)),
		timeoutMinutes: reader.whole("boot-timeout-minutes", 1, 240),
		required: reader.flag("boot-required")
	};
	return test === "off" ? void 0 : {
		test,
		...boot
	};
}
const typeForm = {
	pattern: /^[a-z][a-z\d-]*\.[a-z\d-]+$/,
	expected: "expected an instance type, such as t3.small"
};
function formOf(prefix, what) {
	return {
		pattern: new RegExp(`^(tag:[^=]{1,128}=.{0,256}|${prefix}-([0-9a-f]{8}|[0-9a-f]{17}))$`),
		expected: `expected the ID of a ${what} (${prefix}-…), or tag:Key=Value`
	};
}
function profileForm(partition) {
	return {
		pattern: new RegExp(`^(arn:${partition}:iam::\\d{12}:instance-profile/([\\w+=,.@-]+/)*)?[\\w+=,.@-]{1,128}$`),
		expected: "expected the name or the ARN of an instance profile"
	};
}
// src/inputs/publication.ts
const protections = [
	"off",
	"on",
	"on-with-cooldown"
];
const sharedOnes = ["keep", "by-report"];
function readPublication(reader, partition, run) {
	const zones = reader.list("fast-snapshot-restore");
	for (const zone of zones.filter((zone) => zone !== "all" && !/^[a-z]{2,3}(-[a-z]+)+-\d{1,2}[a-z]$/.test(zone))) reader.note("fast-snapshot-restore", zone, "expected availability zones such as eu-west-1a, or all");
	return {
		deprecateAfter: readDeprecation(reader, run),
		deregistrationProtection: reader.oneOf("deregistration-protection", protections),
		fastSnapshotRestore: zones.includes("all") ? "all" : zones,
		launchPermissions: reader.list("launch-permissions").flatMap((one) => readLaunch(reader, partition, one) ?? []),
		grantKeyTo: reader.list("grant-key-to").map((principal) => {
			reader.templateValue("grant-key-to", principal);
			const sample = fill(principal, {
				account: "0".repeat(12),
				region: "eu-west-1",
				...runValues(run)
			});
			return reader.checked("grant-key-to", principal, {
				fits: () => needsSourceImage(principal) || principalArn(partition).test(sample),
				expected: `expected the ARN of a role, a user or an account root, such as arn:${partition}:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`
			});
		}),
		ssmParameter: readParameterName(reader, run),
		launchTemplate: readLaunchTemplate(reader, run),
		promote: reader.flag("promote"),
		boot: readBoot(reader, partition, run),
		...readRetention(reader, run)
	};
}
function readRetention(reader, run) {
	const lineage = reader.templateValue("lineage", reader.optional("lineage"));
	const retain = reader.text("retain") === "" ? void 0 : reader.whole("retain", 1, 1e4);
	const retainDays = reader.whole("retain-days", 0, 3650);
	const retainShared = reader.oneOf("retain-shared", sharedOnes);
	const asked = {
		retain,
		retainDays,
		retainShared
	};
	if (lineage === void 0 && retain !== void 0) reader.note("lineage", "", "is needed with retain, which counts the AMIs of one lineage");
	if (retain === void 0 && retainDays > 0) reader.note("retain", "", "is needed with retain-days");
	if (retain === void 0 && retainShared === "by-report") reader.note("retain", "", "is needed with retain-shared: by-report");
	if (lineage === void 0) return {
		lineage,
		...asked
	};
	const isNew = /\{(date|sha|run-id|source-ami)\}/.exec(lineage)?.[0];
	if (isNew !== void 0) reader.note("lineage", lineage, `${isNew} is another in each bake, and a lineage is not`);
	const sample = fill(lineage, {
		...runValues(run),
		...shortestTarget,
		...shortestSource
	});
	if (unknownPlaceholders(lineage).length === 0) reader.checked("lineage", sample, isLineage);
	return {
		lineage,
		...asked
	};
}
const isLineage = {
	fits: (text) => /^[A-Za-z0-9 _.:/=+@-]{1,128}$/.test(text),
	expected: "expected at most 128 letters (A to Z), digits, spaces and _.:/=+@-"
};
function readParameterName(reader, run) {
	const template = reader.templateValue("ssm-parameter", reader.optional("ssm-parameter"));
	if (template === void 0 || unknownPlaceholders(template).length > 0) return template;
	const problem = parameterNameProblem(fill(template, {
		...runValues(run),
		...shortestTarget,
		...shortestSource
	}));
	if (problem !== void 0) reader.note("ssm-parameter", template, problem);
	return template;
}
function readTemplateName(reader, run) {
	const template = reader.templateValue("launch-template", reader.optional("launch-template"));
	if (template === void 0 || unknownPlaceholders(template).length > 0) return template;
	if (!isLaunchTemplate(fill(template, {
		...runValues(run),
		...shortestTarget,
		...shortestSource
	}))) reader.note("launch-template", template, launchTemplateForm);
	return template;
}
function readLaunchTemplate(reader, run) {
	const sourceVersion = reader.checked("launch-template-source-version", reader.text("launch-template-source-version"), {
		fits: (text) => /^(\$Latest|\$Default|[1-9]\d{0,8})$/.test(text),
		expected: "expected a version's number, $Latest or $Default"
	});
	const makesDefault = reader.flag("launch-template-default");
	const template = readTemplateName(reader, run);
	return template === void 0 ? void 0 : {
		template,
		sourceVersion,
		makesDefault
	};
}
const launchTemplateForm = "expected a launch template's ID (lt-…), or its name: 3 to 128 letters, digits and ().-/_";
function isLaunchTemplate(text) {
	return /^[a-zA-Z0-9().\-/_]{3,128}$/.test(text);
}
const maxParameterName = 1011;
const maxLevels = 15;
function parameterNameProblem(name) {
	if (/^\/?(aws|ssm)/i.test(name)) return "names that begin with aws or ssm, after a slash too, are reserved";
	if (!/^\/?[\w.-]+(\/[\w.-]+)*$/.test(name)) return "the name of an SSM parameter has letters, digits and _.- in it, and single slashes between its levels";
	if (name.includes("/") && !name.startsWith("/")) return "a name with levels begins with a slash, such as /golden/latest";
	if (name.length > maxParameterName) return `a name has at most ${maxParameterName} characters`;
	return name.split("/").length - 1 > maxLevels ? `a name has at most ${maxLevels} levels` : void 0;
}
function principalArn(partition) {
	return new RegExp(`^arn:${partition}:(iam::\\d{12}:(root|(role|user)/[\\w+=,.@/-]+)|sts::\\d{12}:assumed-role/[\\w+=,.@/-]+)$`);
}
function readDeprecation(reader, run) {
	const text = reader.optional("deprecate-after");
	if (text === void 0) return void 0;
	const days = /^(\d{1,4})d$/.exec(text)?.[1];
	const at = days === void 0 ? Date.parse(text) : run.date.getTime() + Number(days) * 864e5;
	if (!(days !== void 0 || /^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d))?$/.test(text)) || Number.isNaN(at)) reader.note("deprecate-after", text, "expected days such as 90d, or a moment such as 2027-06-30T00:00:00Z");
	else if (at <= run.date.getTime() || at > run.date.getTime() + 31536e7) reader.note("deprecate-after", text, "expected a time in the future, ten years ahead at most");
	return days === void 0 ? { at: new Date(at) } : { days: Number(days) };
}
function readLaunch(reader, partition, one) {
	if (accountId.test(one)) return { UserId: one };
	const organizations = `^arn:${partition}:organizations::\\d{12}:`;
	if (new RegExp(`${organizations}organization/o-[a-z0-9]{10,32}$`).test(one)) return { OrganizationArn: one };
	if (new RegExp(`${organizations}ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}$`).test(one)) return { OrganizationalUnitArn: one };
	const all = /^(all|public|\*)$/i.test(one);
	reader.note("launch-permissions", one, all ? "an AMI with encrypted snapshots cannot be made public" : "expected an account ID, or the ARN of an organization or an organizational unit");
}
// src/tags.ts
const tagKeys = {
	sourceAmi: "share-encrypted-ami:source-ami",
	sourceSnapshot: "share-encrypted-ami:source-snapshot",
	run: "share-encrypted-ami:run",
	commit: "share-encrypted-ami:commit",
	kmsKey: "share-encrypted-ami:kms-key",
	lease: "share-encrypted-ami:lease",
	lineage: "share-encrypted-ami:lineage",
	published: "share-encrypted-ami:published",
	protection: "share-encrypted-ami:protection",
	superseded: "share-encrypted-ami:superseded",
	replacedBy: "share-encrypted-ami:replaced-by",
	bootTest: "share-encrypted-ami:boot-test",
	encryptedCopy: "share-encrypted-ami:encrypted-copy",
	intermediate: "share-encrypted-ami:intermediate"
};
const instanceTag = "share-encrypted-ami:source-instance";
const recalledTag = "share-encrypted-ami:recalled";
const endedLease = "ended";
const tagPrefix = "share-encrypted-ami:";
const ownTagCount = Object.keys(tagKeys).length - 2;
function toTags(record) {
	return Object.entries(record).filter(([key, value]) => value !== "" || !key.startsWith("share-encrypted-ami:")).map(([Key, Value]) => ({
		Key,
		Value
	}));
}
function tagValue(resource, key) {
	return resource.Tags?.find((tag) => tag.Key === key)?.Value;
}
function isMarked(copy) {
	return [tagKeys.lease, tagKeys.replacedBy].filter((key) => tagValue(copy, key) !== void 0).length > 0 && tagValue(copy, tagKeys.intermediate) === void 0;
}
function mergeTags(source, { users, ours }, most = 50) {
	const kept = {
		...users,
		...Object.fromEntries(toTags(ours).map((tag) => [tag.Key, tag.Value]))
	};
	const inherited = source.filter(({ Key }) => Key !== void 0 && !Key.startsWith("aws:") && !Key.startsWith("share-encrypted-ami:") && !Object.hasOwn(kept, Key));
	const room = Math.max(0, most - Object.keys(kept).length);
	return {
		tags: [...inherited.slice(0, room).map(({ Key, Value }) => ({
			Key,
			Value: Value ?? ""
		})), ...toTags(kept)],
		dropped: inherited.slice(room).map(({ Key }) => Key ?? "")
	};
}
function joinIds(ids) {
	let text = "";
	for (const id of ids) if (text.length + id.length + 1 <= 256) text += (text && " ") + id;
	return text;
}
// src/inputs/tags.ts
function readTags(reader, input, text) {
	return checkTags(reader, input, readPairs(reader, input, text));
}
function readSessionTags(reader, input, text) {
	const tags = readPairs(reader, input, text);
	const keys = Object.keys(tags);
	for (const [key, value] of Object.entries(tags)) {
		checkTag(reader, input, [key, value]);
		if (!/^[\p{L}\p{Z}\p{N}_.:/=+@-]*$/u.test(key)) reader.note(input, key, "the key of a session tag has letters, digits, spaces and _.:/=+-@");
		const other = keys.find((one) => one !== key && one.toLowerCase() === key.toLowerCase());
		if (other !== void 0) reader.note(input, key, `AWS takes it for the same key as ${other}`);
	}
	if (keys.length > 50) reader.note(input, `${keys.length} tags`, `AWS allows 50`);
	return tags;
}
function readPairs(reader, input, text) {
	return /^\{\s*["}]|^\[/.test(text.trim()) ? readJson(reader, input, text) : readLines(reader, input, text);
}
function readJson(reader, input, text) {
	try {
		const tags = JSON.parse(text);
		const [twice] = reader.yaml.parseDocument(text, { logLevel: "silent" }).errors;
		if (twice?.code === "DUPLICATE_KEY") reader.note(input, text, "names a key twice");
		if (isRecord(tags) && Object.values(tags).every(isText)) return tags;
		reader.note(input, text, "expected a JSON object whose values are texts in quotes");
	} catch (error) {
		reader.note(input, text, `is not JSON: ${error instanceof Error ? error.message : String(error)}`);
	}
	return {};
}
function readLines(reader, input, text) {
	const tags = new Map();
	for (const line of text.split("\n").map((part) => part.trim()).filter(Boolean)) {
		const at = line.indexOf("=");
		const [key, value] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
		const quoted = unquoted(reader, value);
		if (at < 1 || line.startsWith("- ")) reader.note(input, line, "expected key=value");
		else if (/^["'#]/.test(key)) reader.note(input, line, "a line is taken as it stands: there are no comments, and no quotes around a key");
		else if (tags.has(key)) reader.note(input, line, `names ${key} a second time`);
		else if (quoted === void 0 && /,[^,=]+=/.test(value)) reader.note(input, line, `looks like several tags; write each on a line of its own, or, if it is one value, put it in quotes: ${key}="…"`);
		else tags.set(key, quoted ?? value);
	}
	return Object.fromEntries(tags);
}
function unquoted(reader, value) {
	if (!/^(["']).*\1$/.test(value)) return void 0;
	const { isScalar, parseDocument } = reader.yaml;
	const { contents, errors } = parseDocument(value, {
		schema: "failsafe",
		logLevel: "silent"
	});
	return errors.length === 0 && isScalar(contents) && contents.range?.[1] === value.length && isText(contents.value) ? contents.value : void 0;
}
function checkTags(reader, input, tags) {
	for (const [key, value] of Object.entries(tags)) {
		checkTag(reader, input, [key, value]);
		if (key.startsWith("share-encrypted-ami:")) reader.note(input, `${key}=${value}`, `tag keys that begin with ${tagPrefix} are this action's own`);
	}
	if (Object.keys(tags).length > 50 - ownTagCount) reader.note(input, `${Object.keys(tags).length} tags`, `expected at most ${50 - ownTagCount}, since AWS allows 50 and this action sets up to ${ownTagCount}`);
	return tags;
}
function checkTag(reader, input, [key, value]) {
	const shown = `${key}=${value}`;
	if (key.length < 1 || key.length > 128) reader.note(input, shown, "a tag key has 1 to 128 characters");
	if (value.length > 256) reader.note(input, shown, `a tag value has at most 256 characters`);
	if (/^aws:/i.test(key)) reader.note(input, shown, "tag keys that begin with aws: are reserved by AWS");
	if (/\{[a-z-]+\}/.test(key)) reader.note(input, shown, "placeholders are filled in only in values");
	reader.templateValue(input, value);
}
// src/inputs/settings.ts
const keyAccesses = [
	"grant",
	"policy",
	"existing"
];
const credentialSources = [
	"auto",
	"oidc",
	"environment"
];
function readSettings(reader, run) {
	const region = reader.optional("source-region") ?? run.defaultRegion ?? "";
	if (region === "") reader.note("source-region", "", "is needed where AWS_REGION is not set");
	else if (isUnknownPartition(region)) reader.note("source-region", region, unknownPartition);
	else if (!isRegionName(region)) reader.note("source-region", region, "expected the name of a region, such as us-east-1");
	const partition = partitionOf(region);
	const sourceRole = reader.optional("source-role-arn");
	if (sourceRole !== void 0) {
		const problem = roleProblem(sourceRole, partition);
		if (problem !== void 0) reader.note("source-role-arn", sourceRole, problem);
	}
	const from = reader.oneOf("credentials", credentialSources);
	if (from === "oidc" && sourceRole === void 0) reader.note("source-role-arn", "", "is needed with credentials: oidc, which takes none from the environment");
	const sourceKey = reader.optional("source-kms-key");
	if (sourceKey !== void 0) {
		const problem = keyProblem(sourceKey, region, roleArn.exec(sourceRole ?? "")?.[2]);
		if (problem !== void 0) reader.note("source-kms-key", sourceKey, problem);
	}
	return {
		source: {
			region,
			partition,
			roleArn: sourceRole,
			kmsKey: sourceKey,
			keyAccess: reader.oneOf("source-key-access", keyAccesses)
		},
		credentials: {
			from,
			roleChaining: reader.flag("role-chaining"),
			externalId: reader.checked("external-id", reader.optional("external-id"), {
				fits: (text) => /^[\w+=,.@:/-]{2,1224}$/.test(text),
				expected: "expected 2 to 1224 letters, digits and +=,.@:/-"
			}),
			sessionTags: fillSessionTags(reader, run),
			sessionName: readSessionName(reader, run),
			durationSeconds: reader.whole("role-duration-seconds", 900, 43200),
			audience: readAudience(reader, partition)
		},
		keepIntermediates: reader.flag("keep-intermediates"),
		maskAccountIds: reader.flag("mask-aws-account-id"),
		run
	};
}
function readSessionName(reader, run) {
	const template = fill(reader.template("role-session-name"), runValues(run));
	if (needsSourceImage(template)) {
		reader.note("role-session-name", template, "{name} and {source-ami} are not known yet when a role is assumed");
		return template;
	}
	const longest = fill(template, {
		account: "0".repeat(12),
		region: "ap-southeast-1",
		name: "",
		"source-ami": ""
	});
	return reader.checked("role-session-name", template, {
		fits: () => /^[\w+=,.@-]{2,64}$/.test(longest),
		expected: "expected 2 to 64 letters, digits and +=,.@-"
	});
}
function fillSessionTags(reader, run) {
	const tags = readSessionTags(reader, "role-session-tags", reader.text("role-session-tags"));
	return Object.fromEntries(Object.entries(tags).map(([key, template]) => {
		const value = fill(template, runValues(run));
		if (needsSourceImage(value)) reader.note("role-session-tags", template, "{name} and {source-ami} are not known yet when a role is assumed");
		const longest = fill(value, {
			account: "0".repeat(12),
			region: "ap-southeast-1",
			name: "",
			"source-ami": ""
		});
		return [key, reader.checked("role-session-tags", value, {
			fits: () => /^[\p{L}\p{Z}\p{N}_.:/=+@-]{0,256}$/u.test(longest),
			expected: "expected at most 256 letters, digits, spaces and _.:/=+-@"
		})];
	}));
}
function readAudience(reader, partition) {
	const audience = reader.text("oidc-audience");
	return audience === inputDefaults["oidc-audience"] ? audienceOf(partition) : audience;
}
// src/inputs/places.ts
function readPlaces(reader, name) {
	const patterns = reader.list(name).map((item) => {
		const [account = "", region = "", ...rest] = item.split("/");
		if (!((account === "*" || accountId.test(account)) && (region === "*" || isRegionName(region))) || rest.length > 0) reader.note(name, item, "expected account/region, such as 999999999999/eu-west-1, 999999999999/* or */eu-west-1");
		return {
			account,
			region
		};
	});
	const fits = (pattern, value) => pattern === "*" || pattern === value;
	const covers = (pattern, { account, region }) => fits(pattern.account, account) && fits(pattern.region, region);
	return {
		has: (place) => patterns.some((one) => covers(one, place)),
		unmatched: (places) => patterns.filter((one) => !places.some((place) => covers(one, place))).map(({ account, region }) => `${name}: ${account}/${region} names none of the targets`)
	};
}
// src/inputs/target-entries.ts
const entryFields = [
	"account",
	"region",
	"role-arn",
	"kms-key",
	"ami-name",
	"tags",
	"optional"
];
const entryForm = "{account, region, role-arn?, kms-key?, ami-name?, tags?, optional?}";
function readTargetEntries(reader) {
	const text = reader.raw("targets");
	if (text.trim() === "") return [];
	const { entries, problem } = parseEntries(reader.yaml, text);
	if (problem !== void 0) {
		reader.note("targets", text, problem);
		return [];
	}
	if (!Array.isArray(entries)) {
		reader.note("targets", text, `expected a YAML list of ${entryForm}`);
		return [];
	}
	return entries.flatMap((entry, index) => readTargetEntry(reader, `targets[${index}]`, entry) ?? []);
}
function parseEntries({ isAlias, parseDocument, visit }, text) {
	try {
		const document = parseDocument(text, {
			schema: "failsafe",
			logLevel: "error"
		});
		const [error] = document.errors;
		if (error !== void 0) return { problem: `is not YAML: ${error.message.replace(/:?\n.*/s, "")}` };
		let anchored;
		visit(document, { Node(_, node) {
			anchored ??= isAlias(node) ? `*${node.source}` : "anchor" in node && node.anchor ? `&${node.anchor}` : void 0;
		} });
		if (anchored !== void 0) return { problem: `YAML anchors and aliases (${anchored}) are not taken; write each target out` };
		return { entries: document.toJS() };
	} catch (error) {
		return { problem: `is not YAML: ${String(error)}` };
	}
}
function readTargetEntry(reader, input, entry) {
	if (typeof entry !== "object" || entry === null || Array.isArray(entry)) {
		reader.note(input, String(entry), `expected ${entryForm}`);
		return;
	}
	const found = reader.noted;
	const fields = new Map(Object.entries(entry));
	checkFields(reader, input, fields);
	const tags = fields.has("tags") ? readEntryTags(reader, `${input}.tags`, fields.get("tags")) : void 0;
	if (reader.noted > found) return void 0;
	return {
		...Object.fromEntries(fields),
		...tags && { tags }
	};
}
function checkFields(reader, input, fields) {
	for (const [field, value] of fields) if (!entryFields.includes(field)) reader.note(`${input}.${field}`, String(value), `is not known here; there are ${entryFields.join(", ")}`);
	else if (field !== "tags" && typeof value !== "string") reader.note(`${input}.${field}`, JSON.stringify(value), "expected text");
	for (const field of ["account", "region"]) if (!fields.has(field)) reader.note(`${input}.${field}`, "", "is needed");
	const optional = fields.get("optional") ?? "false";
	if (typeof optional === "string" && !["true", "false"].includes(optional)) reader.note(`${input}.optional`, optional, "expected true or false");
}
function readEntryTags(reader, input, value) {
	if (typeof value === "string") return readTags(reader, input, value);
	const pairs = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : void 0;
	if (pairs === void 0 || pairs.some(([, text]) => typeof text !== "string")) {
		reader.note(input, JSON.stringify(value), "expected a mapping of keys to values, or key=value lines");
		return {};
	}
	return checkTags(reader, input, Object.fromEntries(pairs));
}
// src/inputs/targets.ts
function readTargets(reader, within, run) {
	const listed = listTargets(reader, within);
	const excluded = readPlaces(reader, "exclude-targets");
	const optional = readPlaces(reader, "optional-targets");
	const entries = listed.filter((entry) => !excluded.has(standingFor(entry)));
	if (entries.length === 0 && listed.length > 0) reader.note("exclude-targets", reader.text("exclude-targets"), "leaves no target");
	const shared = {
		"role-arn": reader.optional("target-role-arn"),
		"kms-key": reader.text("target-kms-key"),
		"ami-name": reader.text("target-ami-name"),
		tags: readTags(reader, "tags", reader.text("tags")),
		optional
	};
	const known = listed.every(({ everyRegion }) => everyRegion === void 0);
	return {
		targets: entries.map((entry) => readTarget(reader, {
			entry,
			shared,
			within,
			run
		})),
		unmatched: known ? [...excluded.unmatched(listed), ...optional.unmatched(listed)] : []
	};
}
function standingFor({ account, region, everyRegion }) {
	return {
		account,
		region: everyRegion === void 0 ? region : "*"
	};
}
function listTargets(reader, within) {
	const accounts = reader.list("target-accounts");
	const entries = readTargetEntries(reader);
	checkLists(reader, entries);
	const regions = reader.list("target-regions");
	const isAll = regions.includes("all");
	if (isAll && regions.length > 1) reader.note("target-regions", "all", "stands for every region that is enabled; name no other beside it");
	const named = regions.map((region) => ({ region }));
	const regionsOf = (account) => isAll ? enabledIn(account, within) : named;
	const pairs = accounts.reduce((sum, account) => sum + regionsOf(account).length, entries.length);
	if (pairs > maxTargets) {
		reader.note("target-accounts", `${pairs} pairs of account and region`, `expected at most ${maxTargets} targets`);
		return [];
	}
	const byPlace = new Map();
	for (const account of accounts) for (const one of regionsOf(account)) {
		const { region } = standingFor({
			account,
			...one
		});
		byPlace.set(`${account}/${region}`, {
			account,
			...one
		});
	}
	const seen = new Set();
	for (const entry of entries) {
		const place = `${entry.account}/${entry.region}`;
		if (seen.has(place)) reader.note("targets", place, "is named twice");
		seen.add(place);
		byPlace.set(place, {
			...byPlace.get(place),
			...entry
		});
	}
	if (byPlace.size === 0) noteEmpty(reader);
	return [...byPlace.values()];
}
function noteEmpty(reader) {
	if (reader.problems.some(({ where }) => /^target(s\b|-accounts$|-regions$)/.test(where))) return;
	const given = [
		"target-accounts",
		"target-regions",
		"targets"
	].filter((name) => reader.text(name) !== "");
	reader.note(given.join(", "), given.map((name) => reader.text(name)).join(", "), "names no target");
}
function checkLists(reader, entries) {
	const [noAccounts, noRegions] = [reader.text("target-accounts") === "", reader.text("target-regions") === ""];
	if (noAccounts !== noRegions) {
		const [lacking, given] = noAccounts ? ["target-accounts", "target-regions"] : ["target-regions", "target-accounts"];
		reader.note(lacking, "", `is needed beside ${given}: the targets are every account × every region`);
	} else if (noAccounts && entries.length === 0 && reader.text("targets") === "") reader.note("target-accounts", "", "expected target-accounts with target-regions, or targets");
}
function enabledIn(account, { region, enabled }) {
	const known = enabled?.get(account) ?? { problem: void 0 };
	if ("regions" in known) return known.regions.map((one) => ({ region: one }));
	return [{
		region,
		everyRegion: { problem: known.problem }
	}];
}
const noImageName = "an AMI's name has 3 to 128 letters, digits, spaces and ()[]./-'@_";
const maxTargets = 1e5;
function readTarget(reader, { entry, shared, within, run }) {
	const { partition, needsKey } = within;
	const { everyRegion, ...own } = entry;
	const { account, region } = own;
	const values = {
		account,
		region,
		...runValues(run)
	};
	const check = (input, value, problem) => {
		if (problem !== void 0) reader.note(input, value, problem);
	};
	const from = (field) => entry[field] === void 0 ? `target-${field}` : `targets ${account}/${region} ${field}`;
	const template = (field) => reader.templateValue(from(field), entry[field] ?? shared[field]);
	check("target-accounts", account, accountId.test(account) ? void 0 : "expected a 12-digit account ID");
	check("target-regions", region, regionProblem(region, partition));
	const role = reader.templateValue(from("role-arn"), entry["role-arn"] ?? shared["role-arn"]);
	const roleArn = role === void 0 ? void 0 : fill(role, values);
	if (roleArn !== void 0 && !needsSourceImage(roleArn) && accountId.test(account)) check(from("role-arn"), roleArn, roleProblem(roleArn, partition, account));
	if (roleArn !== void 0 && needsSourceImage(roleArn) && everyRegion !== void 0) check(from("role-arn"), roleArn, "{name} and {source-ami} are not known yet when regions are read (target-regions: all)");
	const kmsKey = fill(template("kms-key"), values);
	check(from("kms-key"), kmsKey, targetKeyProblem(kmsKey, entry, needsKey));
	const amiName = template("ami-name");
	const couldName = isImageName(fill(amiName, {
		...values,
		...shortestSource
	}));
	if (unknownPlaceholders(amiName).length === 0) check(from("ami-name"), amiName, couldName ? void 0 : noImageName);
	const optional = entry.optional === "true" || entry.optional === void 0 && shared.optional.has(standingFor(entry));
	return {
		account,
		region,
		roleArn,
		kmsKey,
		amiName,
		tags: {
			...shared.tags,
			...entry.tags
		},
		optional,
		own: optional ? {
			...own,
			optional: "true"
		} : own,
		everyRegion
	};
}
function targetKeyProblem(key, { account, region }, isNeeded) {
	if (needsSourceImage(key)) return void 0;
	if (key !== "") return keyProblem(key, region, account);
	return isNeeded ? "is needed: the key in the target account and region" : void 0;
}
function regionProblem(region, partition) {
	if (!isRegionName(region)) return "expected the name of a region, such as eu-west-1";
	if (isUnknownPartition(region)) return unknownPartition;
	const own = partitionOf(region);
	if (own !== partition) return `is in partition ${own}, the source region in ${partition}: AWS copies nothing from one partition to another`;
}
// src/inputs/reach.ts
function readReach(reader, run, options) {
	const settings = readSettings(reader, run);
	const { region, partition } = settings.source;
	const named = readTargets(reader, {
		region,
		partition,
		...options
	}, run);
	const { lastMoment } = assumesDirectly(settings, named.targets) ? run : {};
	return {
		...settings,
		allRegions: reader.list("target-regions").includes("all"),
		...named,
		timeout: readTimeout(reader, settings, {
			date: run.date,
			...lastMoment && { lastMoment }
		})
	};
}
function assumesDirectly({ source, credentials }, targets) {
	if (source.roleArn !== void 0) return true;
	return !credentials.roleChaining && targets.some(({ roleArn }) => roleArn !== void 0);
}
const defaultMinutes = 350;
function readTimeout(reader, { credentials }, { date, lastMoment }) {
	const given = reader.optional("timeout-minutes");
	const minutes = given === void 0 ? defaultMinutes : reader.whole("timeout-minutes", 1, 7200);
	const last = lastMoment?.(credentials);
	if (last === void 0) return {
		minutes,
		cut: void 0
	};
	const most = Math.floor((last.at - date.getTime()) / 6e4);
	if (!(minutes > most)) return {
		minutes,
		cut: void 0
	};
	const why = `GitHub gives a job ID tokens only for some hours, and sessions by this job's last one, less 20 minutes for taking back, end at ${new Date(last.at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
	if (given !== void 0) {
		const longer = last.canBeLater ? "; a larger role-duration-seconds moves that moment" : "";
		reader.note("timeout-minutes", given, `expected at most ${Math.max(0, most)}: ${why}${longer}`);
	}
	return {
		minutes: Math.max(1, most),
		cut: why
	};
}
// src/inputs/scan.ts
const severities = [
	"none",
	"informational",
	"low",
	"medium",
	"high"
];
function readScanGate(reader) {
	const gate = {
		maxAgeDays: reader.text("scan-max-age-days") === "" ? void 0 : reader.whole("scan-max-age-days", 1, 3650),
		required: reader.flag("scan-required"),
		waitMinutes: reader.whole("scan-wait-minutes", 0, 1440),
		fixableOnly: reader.flag("fixable-only")
	};
	if (reader.text("max-severity") !== "") return {
		...gate,
		maxSeverity: reader.oneOf("max-severity", severities)
	};
	const needs = "max-severity is needed with it: the highest severity that passes";
	if (gate.maxAgeDays !== void 0) reader.note("scan-max-age-days", String(gate.maxAgeDays), needs);
	if (gate.waitMinutes > 0) reader.note("scan-wait-minutes", String(gate.waitMinutes), needs);
	if (gate.fixableOnly) reader.note("fixable-only", "true", needs);
}
// src/packer.ts
function amiFromManifest(text, { region, build }) {
	const manifest = parse(text);
	const lastRun = manifest.last_run_uuid;
	if (typeof lastRun !== "string" || !Array.isArray(manifest.builds)) throw new Error("it is no manifest of Packer: it has no builds and last_run_uuid");
	const all = manifest.builds.flatMap((one) => artifactsOf(one, lastRun));
	if (all.length === 0) throw new Error(`its last run (${lastRun}) has no AMI`);
	const artifacts = all.filter((artifact) => build === void 0 || artifact.build === build);
	if (artifacts.length === 0) throw new Error(`its last run has no AMI of a build named ${build}; it made ${listOf(all)}`);
	const here = artifacts.filter((artifact) => artifact.region === region);
	const [amiId, ...more] = new Set(here.map((artifact) => artifact.amiId));
	if (amiId === void 0) throw new Error(`its last run made no AMI in source-region ${region}; it made ${listOf(artifacts)}`);
	if (more.length > 0) {
		const which = new Set(here.map((artifact) => artifact.build)).size > 1 ? "name one build in packer-build" : "the builds have one name, so give its ID as ami-id";
		throw new Error(`its last run made ${more.length + 1} AMIs in ${region}, and one can be shared at a time; ${which}: ${listOf(here)}`);
	}
	return amiId;
}
function listOf(artifacts) {
	return artifacts.map(({ build, region, amiId }) => `${region}:${amiId} (${build || "without a name"})`).join(", ");
}
function parse(text) {
	const value = parseJson(text);
	if (!isRecord(value)) throw new Error("it is not a JSON object");
	return value;
}
function artifactsOf(build, run) {
	if (typeof build !== "object" || build === null) return [];
	const { name, packer_run_uuid, artifact_id } = build;
	if (packer_run_uuid !== run || typeof artifact_id !== "string") return [];
	return artifact_id.split(",").flatMap((artifact) => {
		const [region, amiId, ...more] = artifact.trim().split(":");
		return region !== void 0 && amiId !== void 0 && more.length === 0 && /^ami-[0-9a-f]+$/.test(amiId) ? [{
			build: isText(name) ? name : "",
			region,
			amiId
		}] : [];
	});
}
// src/inputs/source-image.ts
const sourceInputs = [
	"ami-id",
	"ami-name",
	"ami-ssm-parameter",
	"packer-manifest",
	"instance-id"
];
const instanceId = /^i-([0-9a-f]{8}|[0-9a-f]{17})$/;
function readSourceImage(reader, manifest) {
	const noReboot = reader.flag("no-reboot");
	const build = reader.optional("packer-build");
	if (build !== void 0 && reader.text("packer-manifest") === "") reader.note("packer-build", build, "needs packer-manifest");
	const given = sourceInputs.filter((name) => reader.text(name) !== "");
	const [name] = given;
	if (name === void 0) return void 0;
	if (given.length > 1) {
		const values = given.map((one) => reader.text(one)).join(", ");
		reader.note(given.join(", "), values, "expected exactly one of these");
		return unnamed;
	}
	const value = reader.text(name);
	const fitting = (fits, expected) => reader.checked(name, value, {
		fits,
		expected
	});
	const checked = (pattern, expected) => fitting((text) => pattern.test(text), expected);
	return {
		"ami-id": () => ({
			by: "id",
			id: fitting(isImageId, "expected the ID of an AMI, such as ami-0123456789abcdef0")
		}),
		"ami-name": () => ({
			by: "name",
			pattern: checked(/^.{1,128}$/, "an AMI name has at most 128 characters")
		}),
		"ami-ssm-parameter": () => ({
			by: "ssm-parameter",
			name: checked(/^[\w.:/-]{1,2048}$/, "expected the name or the ARN of an SSM parameter")
		}),
		"instance-id": () => ({
			by: "instance",
			id: checked(instanceId, "expected the ID of an instance, such as i-0123456789abcdef0"),
			noReboot
		}),
		"packer-manifest": () => ({
			by: "id",
			id: readManifest(reader, value, {
				...manifest,
				build
			})
		})
	}[name]();
}
const unnamed = {
	by: "id",
	id: ""
};
function noteUnnamed(reader, or = "") {
	reader.note(sourceInputs.join(", "), "", `expected exactly one of these${or}`);
	return unnamed;
}
function readSourceOwners(reader) {
	const owners = reader.list("source-owners");
	if (owners.length === 0) reader.note("source-owners", reader.text("source-owners"), "names no owner");
	for (const owner of owners) if (!accountId.test(owner) && ![
		"self",
		"amazon",
		"aws-marketplace"
	].includes(owner)) reader.note("source-owners", owner, "expected self, account IDs, amazon or aws-marketplace");
	return owners;
}
function readManifest(reader, path, { region, build, readFile }) {
	try {
		return amiFromManifest(readFile(path, maxInputFileBytes), {
			region,
			build
		});
	} catch (error) {
		reader.note("packer-manifest", path, error instanceof Error ? error.message : String(error));
		return "";
	}
}
// src/inputs.ts
const routes = [
	"auto",
	"register",
	"copy"
];
const onExistings = [
	"reuse",
	"fail",
	"replace"
];
const topologies = ["direct", "regional-hub"];
function readInputs(get, run, sources = {}) {
	const reader = new Reader(get, sources.yaml);
	const asked = readRequest(reader, run, sources);
	const request = {
		...asked,
		image: asked.image ?? noteUnnamed(reader)
	};
	noteOthers(reader, "share");
	if (reader.problems.length > 0) throw new InputError(reader.problems);
	return request;
}
function readRequest(reader, run, { readFile = readTextFile, enabled }) {
	const reach = readReach(reader, run, {
		enabled,
		needsKey: true
	});
	const { region, partition } = reach.source;
	const request = {
		...reach,
		image: readSourceImage(reader, {
			region,
			readFile
		}),
		sourceOwners: readSourceOwners(reader),
		scan: readScanGate(reader),
		description: readDescription(reader, run),
		route: reader.oneOf("route", routes),
		allowLostBilling: reader.flag("allow-lost-billing"),
		onExisting: reader.oneOf("on-existing", onExistings),
		copyTags: reader.flag("copy-tags"),
		intermediateTags: readIntermediateTags(reader),
		publication: readPublication(reader, partition, run),
		topology: reader.oneOf("topology", topologies),
		hubKmsKey: readHubKey(reader, region, run),
		dryRun: reader.flag("dry-run"),
		expectPlan: readExpectedPlan(reader, readFile),
		onProblem: reader.oneOf("on-problem", ["fail", "skip"]),
		failFast: reader.flag("fail-fast"),
		keyPreflight: reader.oneOf("key-preflight", ["fail", "warn"]),
		maxParallel: reader.whole("max-parallel", 1, 1e3),
		copyMinutes: readCopyMinutes(reader),
		pollSeconds: reader.whole("poll-interval", 1, 3600)
	};
	if (request.failFast && request.onProblem === "skip") reader.note("on-problem", "skip", "cannot be used with fail-fast, which stops all targets at the first failure");
	return request;
}
function readDescription(reader, run) {
	const template = reader.templateValue("target-ami-description", reader.optional("target-ami-description"));
	const values = {
		...runValues(run),
		...shortestTarget,
		...shortestSource
	};
	return reader.checked("target-ami-description", template, {
		fits: (text) => isImageDescription(fill(text, values)),
		expected: "an AMI description has at most 255 ASCII characters"
	});
}
function readIntermediateTags(reader) {
	const text = reader.optional("intermediate-tags");
	return text === void 0 ? void 0 : readTags(reader, "intermediate-tags", text);
}
function readCopyMinutes(reader) {
	if (reader.text("copy-duration-minutes") === "") return void 0;
	const minutes = reader.whole("copy-duration-minutes", 15, 2880);
	if (minutes % 15 !== 0) reader.note("copy-duration-minutes", String(minutes), "expected a multiple of 15");
	return minutes;
}
// src/inputs/audit.ts
const findingKinds = [
	"missing",
	"differs",
	"recalled",
	"unknown",
	"left-over",
	"foreign"
];
function readAudit(get, run, sources) {
	const reader = new Reader(get, sources.yaml);
	const request = {
		...readRequest(reader, run, sources),
		failOn: readFailOn(reader)
	};
	if (request.image === void 0) noteUnknown(reader, request);
	noteOthers(reader, "audit");
	if (reader.problems.length > 0) throw new InputError(reader.problems);
	return request;
}
function noteUnknown(reader, { publication: { lineage }, targets }) {
	const unknown = "{name} and {source-ami} are not known before the targets are read, unless an input names the AMI";
	if (lineage === void 0) noteUnnamed(reader, ", or lineage");
	else if (needsSourceImage(lineage)) reader.note("lineage", lineage, unknown);
	for (const { roleArn = "" } of targets) if (needsSourceImage(roleArn)) reader.note("target-role-arn", roleArn, unknown);
}
function readFailOn(reader) {
	const given = reader.list("fail-on");
	if (given.length === 1 && given[0] === "none") return [];
	return given.flatMap((one) => {
		const kind = findingKinds.find((known) => known === one);
		if (kind === void 0) reader.note("fail-on", one, `expected none, or of ${findingKinds.join(", ")}`);
		return kind ?? [];
	});
}
// src/sha256.ts
function sha256(text) {
	return (0,external_node_crypto_.createHash)("sha256").update(text).digest("hex");
}
// src/plan/digest.ts
function factsOf({ source, targets, leftOut }) {
	const sorted = targets.toSorted((a, b) => compare(placeOf(a), placeOf(b)));
	const ofEach = (facts) => sorted.map((target) => [
		target.account,
		target.region,
		...facts(target)
	]);
	return {
		source: [
			source.amiId,
			source.instanceId,
			source.snapshots.toSorted(compare)
		],
		targets: [ofEach(({ roleArn, route, optional }) => [
			roleArn,
			route,
			optional
		]), leftOut.toSorted(compare)],
		keys: ofEach(({ kmsKeyArn }) => [kmsKeyArn]),
		names: ofEach(({ nameTemplate, descriptionTemplate }) => [nameTemplate, descriptionTemplate]),
		tags: ofEach(({ tagTemplates }) => [tagTemplates.toSorted(([a], [b]) => compare(a, b))]),
		publish: ofEach(({ publication }) => [unordered(publication)]),
		existing: ofEach(({ reuses, deregisters }) => [reuses, deregisters.toSorted(compare)]),
		access: ofEach(({ access }) => [access.toSorted(compare)])
	};
}
const placeOf = ({ account, region }) => `${account}/${region}`;
function compare(a, b) {
	return a < b ? -1 : a > b ? 1 : 0;
}
function unordered(value) {
	if (Array.isArray(value)) return value.map(unordered).toSorted((a, b) => compare(canonical(a), canonical(b)));
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unordered(one)]));
}
function canonical(value) {
	if (Array.isArray(value)) return `[${value.map((one) => canonical(one ?? null)).join()}]`;
	if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
	return `{${Object.entries(value).filter(([, one]) => one !== void 0).toSorted(([a], [b]) => compare(a, b)).map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join()}}`;
}
function digestOf(approved) {
	const facts = factsOf(approved);
	return digestText({
		pieces: Object.fromEntries(digestParts.map((part) => [part, sha256(canonical(facts[part])).slice(0, 8)])),
		whole: sha256(canonical(facts))
	});
}
const words$1 = {
	source: "the source AMI or its snapshots",
	targets: "the targets: their accounts, regions, roles or routes, which are optional, or which are left out",
	keys: "the target keys",
	names: "the names or descriptions of the AMIs",
	tags: "the tags",
	publish: "what is published: deprecation, protection, fast snapshot restore, permissions, SSM parameters, launch templates",
	existing: "which AMIs are used again, or deregistered",
	access: "who gets access to what"
};
function differences(expected, actual) {
	const [then, now] = [parseDigest(expected), parseDigest(actual)];
	if (then === void 0 || now === void 0) return [digestProblem(expected) ?? digestProblem(actual) ?? ""];
	if (then.whole === now.whole) return [];
	const parts = digestParts.filter((part) => then.pieces[part] !== now.pieces[part]);
	return parts.length === 0 ? ["a part that the digests do not tell"] : parts.map((part) => words$1[part]);
}
const maxListed = 20;
const namedPlaces = 3;
function listDifferences(approvedThen, now) {
	const lines = [...Map.groupBy([...sourceDifferences(approvedThen.source, now.source), ...targetDifferences(approvedThen, now)], ({ what }) => what)].map(([what, group]) => {
		return `${listed$1(group.map(({ where }) => where), namedPlaces)}: ${what}`;
	});
	const more = lines.length - maxListed;
	return more > 0 ? [...lines.slice(0, maxListed), `…and ${more} differences more`] : lines;
}
function sourceDifferences(then, now) {
	return [
		...changed("AMI", then.amiId, now.amiId),
		...changed("instance", then.instanceId, now.instanceId),
		...changedList("snapshot", then.snapshots, now.snapshots)
	].map((what) => ({
		where: "source",
		what
	}));
}
function targetDifferences(then, now) {
	const [before, after] = [then, now].map(({ targets }) => new Map(targets.map((one) => [placeOf(one), one])));
	const names = [
		...before?.keys() ?? [],
		...after?.keys() ?? [],
		...then.leftOut,
		...now.leftOut
	];
	return [...new Set(names)].toSorted(compare).flatMap((where) => {
		const [old, present] = [before?.get(where), after?.get(where)];
		const [wasOut, isOut] = [then.leftOut.includes(where), now.leftOut.includes(where)];
		if (isOut) return wasOut ? [] : [{
			where,
			what: "an approved target that is left out, because it has a problem"
		}];
		if (wasOut) return [{
			where,
			what: "a target that was left out of the approved plan"
		}];
		if (old === void 0) return [{
			where,
			what: "a target that was not approved"
		}];
		if (present === void 0) return [{
			where,
			what: "an approved target that is missing"
		}];
		return changesOf(old, present).map((what) => ({
			where,
			what
		}));
	});
}
function changesOf(then, now) {
	return [
		...changed("optional", then.optional, now.optional),
		...changed("role", then.roleArn, now.roleArn),
		...changed("route", then.route, now.route),
		...changed("key", then.kmsKeyArn, now.kmsKeyArn),
		...changed("name", then.nameTemplate, now.nameTemplate),
		...changed("description", then.descriptionTemplate, now.descriptionTemplate),
		...changedFields("tag", new Map(then.tagTemplates), new Map(now.tagTemplates)),
		...changedFields("publication", fieldsOf(then.publication), fieldsOf(now.publication)),
		...changed("used again", then.reuses, now.reuses),
		...changedList("deregistered", then.deregisters, now.deregisters),
		...changedList("access", then.access, now.access)
	];
}
function changed(name, then, now) {
	return canonical(then) === canonical(now) ? [] : [`${name} ${shown(now)} instead of ${shown(then)}`];
}
function shown(value) {
	if (value === null || value === void 0) return "none";
	return typeof value === "string" && value !== "" ? value : canonical(value);
}
function changedFields(name, then, now) {
	return [...new Set([...then.keys(), ...now.keys()])].toSorted(compare).flatMap((key) => changed(`${name} ${key}:`, then.get(key), now.get(key)));
}
function fieldsOf(publication) {
	const plain = unordered(publication);
	return new Map(isRecord(plain) ? Object.entries(plain) : [["all", plain]]);
}
function changedList(name, then, now) {
	return [...now.filter((one) => !then.includes(one)).map((one) => `${name} ${one}, which was not approved`), ...then.filter((one) => !now.includes(one)).map((one) => `${name} ${one} is missing, which was approved`)];
}
function planDifferences(expected, now) {
	const parts = differences(expected.digest, digestOf(now));
	if (parts.length === 0 || expected.approved === void 0) return parts;
	if (!isApproved(expected.approved) || digestOf(expected.approved) !== expected.digest) return [...parts, "the file of expect-plan-file is not of the plan that has the digest of expect-plan-digest"];
	return [...parts, ...listDifferences(expected.approved, now)];
}
function isApproved(value) {
	if (!isRecord(value) || !isRecord(value.source) || !Array.isArray(value.targets)) return false;
	const { amiId, instanceId, snapshots } = value.source;
	return isOptional(amiId) && isOptional(instanceId) && isTexts(snapshots) && value.targets.every(isTarget) && isTexts(value.leftOut);
}
function isTarget(value) {
	if (!isRecord(value)) return false;
	const { account, region, kmsKeyArn, route, nameTemplate, tagTemplates } = value;
	return [
		account,
		region,
		kmsKeyArn,
		nameTemplate
	].every(isText) && typeof value.optional === "boolean" && (route === "register" || route === "copy") && [
		value.roleArn,
		value.descriptionTemplate,
		value.reuses
	].every(isOptional) && [value.deregisters, value.access].every(isTexts) && Array.isArray(tagTemplates) && tagTemplates.every((pair) => isTexts(pair) && pair.length === 2);
}
const isOptional = (value) => value === null || isText(value);
// src/temporary-file.ts
function ownName(what) {
	return `share-encrypted-ami-${(0,external_node_crypto_.randomUUID)()}-${what}`;
}
// src/one-line.ts
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
const lineBreaks = /[\n\r\v\f\t\u0085\u2028\u2029]+/g;
function spelled(character) {
	const digits = (character.codePointAt(0) ?? 0).toString(16);
	return digits.length > 4 ? `\\u{${digits}}` : `\\u${digits.padStart(4, "0")}`;
}
function oneLine(text) {
	return text.replace(lineBreaks, " ").replace(unseen, spelled);
}
// src/report/text.ts
function logText(text) {
	return text.split("\n").map((line) => oneLine(line).replaceAll("##[", "## [").replace(/^(\s*):(?=:)/, "$1: ")).join("\n");
}
function outputText(value) {
	const escaped = (character) => Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`);
	return JSON.stringify(value).replaceAll("##[", "##\\u005b").replace(unseen, (character) => escaped(character).join(""));
}
const word = /^(?:\p{L}[\p{L}\p{M}]*(?:['’-]\p{L}[\p{L}\p{M}]*)*\d{0,3}|\d{1,6}(?:[.,]\d{1,3})?|[—–…→×%])$/u;
const linked = /[0-9a-f]{7}|www$/i;
function markdown(text) {
	const parts = [];
	for (const one of oneLine(text).split(/\s+/).filter(Boolean)) {
		const { lead, core, trail } = parted(one);
		const isWord = word.test(core) && !linked.test(core) && !/^\d+[.)]/.test(one);
		const last = parts.at(-1);
		if (core === "") parts.push({
			lead: "",
			core: one,
			trail: "",
			isCode: true
		});
		else if (!isWord && lead === "" && last?.isCode === true && last.trail === "") Object.assign(last, {
			core: `${last.core} ${core}`,
			trail
		});
		else parts.push({
			lead,
			core,
			trail,
			isCode: !isWord
		});
	}
	return parts.map(({ lead, core, trail, isCode }) => `${lead}${isCode ? code(core) : core}${trail}`).join(" ");
}
function parted(text) {
	let [from, to] = [0, text.length];
	while (from < to && `"'(`.includes(text.charAt(from))) from += 1;
	while (to > from && `,.;:?!"')`.includes(text.charAt(to - 1))) to -= 1;
	return {
		lead: text.slice(0, from),
		core: text.slice(from, to),
		trail: text.slice(to)
	};
}
function markdownCell(text) {
	return markdown(text.replaceAll("\\|", "\\ |")).replaceAll("|", "\\|");
}
function commandCell(text) {
	return code(oneLine(text).replaceAll("\\|", "\\ |")).replaceAll("|", "\\|");
}
function code(text) {
	const longest = (text.match(/`+/g) ?? []).reduce((most, { length }) => Math.max(most, length), 0);
	const fence = "`".repeat(longest + 1);
	const space = text.startsWith("`") || text.endsWith("`") ? " " : "";
	return `${fence}${space}${text}${space}${fence}`;
}
function mermaidLabel(text) {
	return oneLine(text).trim().replace(/(?<![\p{L}\p{N}])[/_-]|[/_-](?![\p{L}\p{N}])|[^\p{L}\p{M}\p{N} /_-]/gu, (sign) => `#${sign.codePointAt(0)};`);
}
// src/report/totals.ts
function totalsOf({ source, targets, operations, problems, warnings, ...plan }) {
	const { version, dryRun, topology, estimate } = plan;
	const { snapshots: _, ...named } = source;
	return {
		version,
		totals: true,
		dryRun,
		topology,
		source: named,
		targets: countsOf(targets.map(({ action }) => action)),
		operations: countsOf(operations.map(({ kind }) => kind)),
		estimate,
		problems: problems.length,
		warnings: warnings.length
	};
}
function countsOf(words) {
	const groups = Map.groupBy(words, (word) => word);
	return Object.fromEntries([...groups].map(([word, { length }]) => [word, length]));
}
// src/report/outputs.ts
const isLost = ({ status, optional }) => status === "failed" && optional !== true;
const isReady = ({ amiId, status }) => amiId !== null && status !== "failed";
function writeJson(files, what, value) {
	const text = value === void 0 ? "" : outputText(value);
	if (files.temp === void 0 || text === "") return {
		text,
		path: ""
	};
	const path = (0,external_node_path_.join)(files.temp, ownName(`${what}.json`));
	try {
		files.write(path, `${text}\n`);
		return {
			text,
			path
		};
	} catch (error) {
		return {
			text,
			path: "",
			problem: `the file for ${what}-file (${path}) could not be written: ${errorMessage(error)}`
		};
	}
}
const maxBytes$1 = 1e5;
const errorCharacters$2 = 200;
function brief({ snapshotIds: _, error, ...record }) {
	if (error === void 0) return record;
	return {
		...record,
		error: error.length > errorCharacters$2 ? `${error.slice(0, errorCharacters$2)}…` : error
	};
}
function outputsOf(report, whole) {
	const { sourceAmiId, targets, plan, pictures = {}, launchTemplates = {}, removed = [] } = report;
	const made = targets.filter(isReady);
	const failed = targets.filter(({ status }) => status === "failed");
	const ids = {};
	const byRegion = {};
	for (const { account, region, amiId } of made) {
		ids[account] = {
			...ids[account],
			[region]: amiId ?? ""
		};
		byRegion[region] = [...byRegion[region] ?? [], amiId ?? ""];
	}
	return fitting$1({
		"ami-id": targets.length === 1 ? made[0]?.amiId ?? "" : "",
		"ami-ids": outputText(ids),
		"ami-ids-by-region": outputText(byRegion),
		targets: whole.targets.text,
		"failed-targets": outputText(failed),
		"source-ami-id": sourceAmiId,
		plan: whole.plan.text,
		"plan-digest": plan === void 0 ? "" : digestOf(plan.approved),
		"plan-file": whole.plan.path,
		"targets-file": whole.targets.path,
		"launch-templates": outputText(launchTemplates),
		"removed-amis": outputText(removed),
		"boot-screenshots": outputText(pictures)
	}, [
		plan === void 0 ? {} : { plan: outputText(totalsOf(plan)) },
		{
			targets: outputText(targets.map(brief)),
			"failed-targets": outputText(failed.map(brief))
		},
		{
			targets: "[]",
			"removed-amis": "[]"
		},
		{ "failed-targets": failed.map(brief) },
		{
			"ami-ids": "{}",
			"ami-ids-by-region": "{}",
			"launch-templates": "{}",
			"boot-screenshots": "{}"
		}
	]);
}
function fitting$1(all, shorter) {
	let outputs = {
		...all,
		truncated: "false"
	};
	for (const change of shorter) {
		if (bytesOf(outputs) <= maxBytes$1) break;
		outputs = {
			...outputs,
			truncated: "true"
		};
		for (const [name, value] of Object.entries(change)) {
			const room = maxBytes$1 - bytesOf({
				...outputs,
				[name]: ""
			});
			outputs[name] = typeof value === "string" ? value : beginningOf(value, room);
		}
	}
	return outputs;
}
function beginningOf(list, room) {
	let [fits, beyond] = [Math.min(1, list.length), list.length + 1];
	while (beyond - fits > 1) {
		const count = Math.floor((fits + beyond) / 2);
		if (Buffer.byteLength(outputText(list.slice(0, count))) <= room) fits = count;
		else beyond = count;
	}
	return outputText(list.slice(0, fits));
}
function bytesOf(outputs) {
	return Object.entries(outputs).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
}
// src/report/costs.ts
function costsOf(estimate, topology) {
	const { copies, takenOver, storageGiB, intermediatesGiB, timedCopyUSD, fastSnapshotRestoreUSDPerHour } = estimate;
	const { transferGiB, transferUSD, bootTests, bootTestUSD } = estimate;
	const begins = copies > 0;
	return [
		...begins ? [counted$1(copies, "snapshot copy", "snapshot copies")] : [],
		...takenOver > 0 ? [`${counted$1(takenOver, "snapshot copy", "snapshot copies")} of earlier runs taken over`] : [],
		...begins ? [`between regions: ${transferGiB} GiB, about ${usd(transferUSD)}${otherTopology(estimate, topology)}`] : [],
		...storageGiB > 0 ? [`snapshots that stay: ${storageGiB} GiB, at most ${usd(estimate.storageUSDPerMonth)} a month`] : [],
		...intermediatesGiB > 0 ? [`encrypted copies that stay: ${intermediatesGiB} GiB, at most ${usd(estimate.intermediatesUSDPerMonth)} a month`] : [],
		...timedCopyUSD > 0 ? [`time-based copies: ${usd(timedCopyUSD)}`] : [],
		...fastSnapshotRestoreUSDPerHour > 0 ? [`fast snapshot restore: ${usd(fastSnapshotRestoreUSDPerHour)} an hour as long as it is on`] : [],
		...bootTests > 0 ? [`${counted$1(bootTests, "boot test")}: at most ${usd(bootTestUSD)}`] : []
	];
}
function otherTopology({ byTopology, transferGiB }, topology) {
	const other = topology === "direct" ? "regional-hub" : "direct";
	const instead = byTopology[other];
	return instead.transferGiB === transferGiB ? "" : ` (topology ${topology}; with ${other} ${instead.transferGiB} GiB, ${usd(instead.transferUSD)})`;
}
function copyingTime({ minutes: { least, most } }) {
	if (most === 0) return [];
	return [`copying takes ${least < most ? `${least} to ${counted$1(most, "minute")}` : `about ${counted$1(most, "minute")}`}`];
}
function usd(amount) {
	return `${amount.toFixed(2)} USD`;
}
// src/report/mermaid.ts
const drawn = 30;
function diagram(settings, lines) {
	return [
		"```mermaid",
		`%%{init: ${JSON.stringify(settings)}}%%`,
		...lines,
		"```"
	];
}
function flowchart({ source, targets, operations }) {
	const making = targets.filter(({ action }) => action === "create");
	if (making.length === 0) return [];
	const size = totalGiB(source.snapshots);
	const lines = ["flowchart LR", `  source["${mermaidLabel(source.amiId ?? "yet to be made")}<br/>${mermaidLabel(source.amiName)}<br/>${source.account}/${source.region}<br/>${counted$1(source.snapshots.length, "volume")}, ${size} GiB"]`];
	const copied = operations.filter(({ kind }) => kind === "encrypt" || kind === "await");
	const encrypted = [...new Map(copied.map((one) => [one.region, one])).values()];
	for (const { region } of encrypted) lines.push(`  source -->|encrypt| copy_${id(region)}["encrypted copy<br/>${source.account}/${region}"]`);
	const from = (target) => target.account !== source.account && encrypted.some(({ region }) => region === target.from) ? `copy_${id(target.from)}` : "source";
	if (making.length <= drawn) for (const [index, target] of making.entries()) {
		const verb = target.route === "copy" ? "share, copy image" : "share, copy, register";
		lines.push(`  ${from(target)} -->|${target.account === source.account ? "copy" : verb}| target${index}["${target.account}/${target.region}<br/>${mermaidLabel(target.amiName)}"]`);
	}
	else for (const [index, [key, group]] of [...Map.groupBy(making, (one) => `${from(one)} ${one.region}`)].entries()) lines.push(`  ${key.split(" ")[0]} -->|${counted$1(group.length, "account")}| region${index}["${group[0]?.region}"]`);
	return diagram({ flowchart: { wrappingWidth: 400 } }, lines);
}
function id(region) {
	return region.replace(/-/g, "_");
}
const titleCharacter = 6.5;
function gantt({ timeline, targets }) {
	const byPlace = Map.groupBy(timeline, ({ place }) => place);
	const start = Math.min(...timeline.map(({ from }) => from));
	const made = new Set(targets.map(({ account, region }) => `${account}/${region}`));
	const failed = new Set(targets.filter(({ status }) => status === "failed").map(({ account, region }) => `${account}/${region}`));
	const rank = (place) => made.has(place) ? failed.has(place) ? 1 : 2 : 0;
	const places = [...byPlace].map(([place, spans]) => ({
		place,
		spans,
		end: Math.max(...spans.map(({ to }) => to))
	})).sort((a, b) => rank(a.place) - rank(b.place) || b.end - a.end);
	if (places.length === 0) return [];
	const lines = [
		"gantt",
		"  dateFormat x",
		"  axisFormat %H:%M:%S"
	];
	const shown = places.slice(0, drawn);
	for (const { place, spans } of shown) {
		lines.push(`  section ${mermaidLabel(place)}`);
		for (const { step, from, to } of spans.filter(({ from, to }) => to - from >= 10)) {
			const mark = failed.has(place) ? "crit, " : "";
			lines.push(`  ${step} :${mark}${Math.round(from - start)}, ${Math.round(to - start)}`);
		}
	}
	const more = places.length - drawn;
	const longest = Math.max(...shown.map(({ place }) => place.length));
	return [...diagram({ gantt: { leftPadding: Math.ceil(longest * titleCharacter) + 20 } }, lines), ...more > 0 ? ["", `${drawn} of ${places.length}: those that failed, then the slowest.`] : []];
}
// src/report/summary.ts
const maxBytes = 1048576;
const unfolded$1 = 20;
function summaryText(report) {
	const { sourceAmiId, targets, problems = [], warnings = [], failures, plan, cleanUp, seconds } = report;
	const failed = targets.filter(({ status }) => status === "failed");
	const id = sourceAmiId === "" ? plan === void 0 ? "not found" : "yet to be made" : markdown(sourceAmiId);
	const source = plan === void 0 ? "" : sourceText(plan.source);
	const took = seconds > 0 ? ` The run took ${spokenSeconds(seconds)}.` : "";
	const head = [
		`## ${verdict$3(report)}`,
		"",
		`Source ${id}${source}.${took}`
	];
	const failing = [...failures.flatMap((failure) => failureText(failure)), ...problems.length > 0 ? [] : failed.flatMap(({ account, region, error = "", optional = false }) => failureText(error, `**${markdown(placeName({
		account,
		region
	}))}**${optional ? " (optional)" : ""}: `))];
	const table = ["| account | region | AMI | name | volumes | GiB | key | status | time |", "|---|---|---|---|--:|--:|---|---|--:|"];
	const volumes = plan?.source.snapshots ?? [];
	const rows = [...failed, ...targets.filter(({ status }) => status !== "failed")].map((target) => row(target, volumes));
	return within([
		...head,
		...section("Problems", problemList(problems)),
		...section("Failures", failing),
		...section("Warnings", [
			...plan?.warnings ?? [],
			...warnings,
			...plan?.dryRun ? plan.unasked : []
		].map((warning) => `- ${markdown(warning)}`))
	], [...rows.length > 0 ? [
		"",
		...table,
		...rows.slice(0, unfolded$1)
	] : [], ...rows.length > unfolded$1 ? [
		"",
		`<details><summary>The other ${rows.length - unfolded$1} targets</summary>`,
		"",
		...table,
		...rows.slice(unfolded$1)
	] : []], [
		...rows.length > unfolded$1 ? ["", "</details>"] : [],
		...section("How it went", gantt(report)),
		...planText(plan),
		...section("Cleaned up", cleanedList(cleanUp))
	]);
}
function problemList(problems) {
	return problems.flatMap(({ places, what, remedy }) => [`- **${markdown(places)}**: ${markdown(what)}`, ...remedy === "" ? [] : [`  - What to do: ${markdown(remedy)}`]]);
}
function cleanedList({ done, failed }) {
	return [...done.map((what) => `- ${markdown(what)}`), ...failed.map((what) => `- ⚠️ **left behind**: ${markdown(what)}`)];
}
function section(title, lines) {
	return lines.length === 0 ? [] : [
		"",
		`### ${title}`,
		"",
		...lines
	];
}
function failureText(failure, where = "") {
	const [what = "", ...remedies] = failure.split(/\. (?=What to do: )/);
	return [`- ${where}${markdown(what)}`, ...remedies.map((remedy) => `  - ${markdown(remedy)}`)];
}
function sourceText({ amiName, account, region, snapshots }) {
	return ` (${markdown(amiName)}; ${counted$1(snapshots.length, "volume")}, ${totalGiB(snapshots)} GiB) in ${markdown(placeName({
		account,
		region
	}))}`;
}
function verdict$3(report) {
	const { targets, plan, problems = [], madeImageId } = report;
	if (problems.length > 0) return `❌ ${problems.length === 1 ? "A problem was" : `${problems.length} problems were`} found; ${madeImageId === void 0 ? "nothing was changed" : `${markdown(madeImageId)} was made and is kept, nothing else was changed`}`;
	if (plan?.dryRun === true) {
		const [toMake, out] = ["planned", "failed"].map((one) => targets.filter(({ status }) => status === one).length);
		const without = out === 0 ? "" : `; ${out} left out, because they have problems`;
		return `📋 Dry run: ${toMake} of ${targets.length} AMIs would be made${without}; nothing was changed`;
	}
	return targets.length === 0 ? "❌ The run failed" : targetsVerdict(report);
}
function targetsVerdict({ targets, failures, cleanUp }) {
	const made = targets.filter(isReady).length;
	const lost = targets.filter(isLost).length;
	if (lost > 0) {
		const others = made === 0 ? "" : `; ${made === 1 ? "1 AMI is" : `${made} AMIs are`} ready`;
		return `❌ ${lost} of ${targets.length} targets failed${others}`;
	}
	const missing = targets.length - made;
	const all = made === 1 ? "The AMI is" : `All ${made} AMIs are`;
	const ready = missing === 0 ? all : `${made} of ${targets.length} AMIs are`;
	if (failures.length > 0) return `❌ ${ready} ready, but publishing failed`;
	if (cleanUp.failed.length > 0) return `⚠️ ${ready} ready, but something was left behind`;
	return missing === 0 ? `✅ ${ready} ready` : `⚠️ ${ready} ready; the others are optional, and failed`;
}
function row({ account, region, amiId, amiName, status, kmsKeyArn, seconds }, volumes) {
	const link = amiId === null ? "" : `[${markdownCell(amiId)}](${consoleUrl(region, amiId)})`;
	const key = kmsKeyArn === null ? "" : keyLink(kmsKeyArn, region);
	const icon = {
		created: "✅",
		reused: "♻️",
		failed: "❌",
		planned: "📋"
	}[status];
	const time = status === "planned" ? "" : spokenSeconds(seconds).replaceAll(" ", "&nbsp;");
	return `| ${account} | ${region} | ${link} | ${markdownCell(amiName ?? "")} | ${volumes.length || ""} | ${totalGiB(volumes) || ""} | ${key} | ${icon}&nbsp;${status} | ${time} |`;
}
function keyLink(arn, region) {
	const id = arn.split("/").at(-1) ?? "";
	return `[${markdownCell(`${id.slice(0, id.startsWith("mrk-") ? 12 : 8)}…`)}](${new URL(consoleUrl(region, "")).origin}/kms/home?region=${region}#/kms/keys/${encodeURIComponent(id)})`;
}
function planText(plan) {
	if (plan === void 0) return [];
	const { estimate, dryRun, topology } = plan;
	const costs = [...costsOf(estimate, topology), ...dryRun ? copyingTime(estimate) : []];
	const list = [
		...costs.map((one) => `- ${one}`),
		"",
		`<sub>By ${estimate.basis}.</sub>`
	];
	return [
		...dryRun && estimate.copies + estimate.takenOver + estimate.bootTests > 0 ? section("Plan", flowchart(plan)) : [],
		...dryRun ? section("What is done with the AMIs", following(plan)) : [],
		...costs.length > 0 ? section("Costs, by estimate", list) : []
	];
}
const follows = new Set([...[
	"boot",
	"publish",
	"parameter",
	"template-version",
	"deregister",
	"delete",
	"protect"
]]);
function following({ operations }) {
	const rows = operations.filter(({ kind }) => follows.has(kind)).map(({ kind, account, region, of, why }) => `| ${account} | ${region} | ${kind} | ${markdownCell(of.join(", "))} | ${markdownCell(why)} |`);
	if (rows.length === 0) return [];
	const table = [
		"| account | region | | of what | why |",
		"|---|---|---|---|---|",
		...rows
	];
	if (rows.length <= unfolded$1) return table;
	return [
		`<details><summary>${counted$1(rows.length, "operation")}</summary>`,
		"",
		...table,
		"",
		"</details>"
	];
}
function within(head, middle, tail) {
	const bytes = (lines) => lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
	const first = fitting(head, maxBytes / 2);
	const last = fitting(tail, maxBytes / 4);
	const kept = fitting(middle, maxBytes - bytes(first) - bytes(last) - 200);
	return [
		...first,
		...kept,
		...last,
		""
	].join("\n");
}
function fitting(lines, room) {
	const kept = [];
	let used = 0;
	for (const line of lines) {
		used += Buffer.byteLength(line) + 1;
		if (used > room - 100) return [
			...kept,
			"",
			`…and ${lines.length - kept.length} lines more; the files that the outputs name have them all.`
		];
		kept.push(line);
	}
	return kept;
}
// src/report/audit.ts
const aboutKinds = ["left-over", "foreign"];
const isOfTarget = ({ kind }) => !aboutKinds.includes(kind);
const errorCharacters$1 = 200;
function auditOutputs({ targets, findings, source }, findingsFile) {
	const missing = new Set(findings.filter(({ kind }) => kind === "missing").map(placeName));
	const toMake = targets.filter((target) => missing.has(placeName(target))).map(({ own }) => own);
	const outputs = {
		findings: outputText(findings),
		"in-step": String(targets.length > 0 && !findings.some(isOfTarget)),
		"missing-targets": outputText(toMake),
		"source-ami-id": source?.imageId ?? "",
		"findings-file": findingsFile
	};
	const brief = findings.map(({ differences: _, why, ...finding }) => ({
		...finding,
		why: why.length > errorCharacters$1 ? `${why.slice(0, errorCharacters$1)}…` : why
	}));
	return fitting$1(outputs, [
		{ findings: outputText(brief) },
		{ findings: brief },
		{ "missing-targets": toMake }
	]);
}
const icons$1 = {
	"in step": "✅",
	missing: "⬜",
	differs: "🟠",
	recalled: "⛔",
	unknown: "❓",
	"left-over": "🧹",
	foreign: "👽"
};
const unfolded = 20;
function auditSummary(report) {
	const { targets, findings, problems, stopped } = report;
	const of = comparedWith(report);
	const isDone = problems.length === 0 && stopped.length === 0;
	const rows = findings.map(rowOf);
	const table = ["| | account | region | what | why |", "|---|---|---|---|---|"];
	const more = rows.length - unfolded;
	return within([
		`## ${verdict$2(report)}`,
		...of === void 0 ? [] : ["", of],
		...section("Problems", problemList(problems)),
		...section("Failures", stopped.flatMap((failure) => failureText(failure))),
		...isDone ? matrix(targets, findings) : []
	], isDone && rows.length > 0 ? [...section("Findings", [...table, ...rows.slice(0, unfolded)]), ...more > 0 ? [
		"",
		`<details><summary>${more} more</summary>`,
		"",
		...table,
		...rows.slice(unfolded)
	] : []] : [], more > 0 && isDone ? ["", "</details>"] : []);
}
function comparedWith({ source, lineage, seconds }) {
	if (source === void 0) return void 0;
	const newest = lineage === void 0 ? "" : `, the newest source AMI of the lineage ${markdown(lineage)}`;
	const where = source.unread === void 0 ? ` in ${markdown(placeName(source.place))}` : `; it could not be read, and only what the inputs say was compared`;
	const took = seconds > 0 ? ` The audit took ${spokenSeconds(seconds)}.` : "";
	return `Compared with ${markdown(source.imageId)}${newest}${where}.${took}`;
}
function verdict$2({ targets, findings, problems, stopped }) {
	if (problems.length > 0) return "❌ Problems were found; nothing could be compared";
	if (stopped.length > 0) return "❌ The audit failed";
	const counts = findingKinds.flatMap((kind) => {
		const count = findings.filter((one) => one.kind === kind).length;
		return count === 0 ? [] : [`${count} ${kind}`];
	});
	const off = new Set(findings.filter(isOfTarget).map(placeName)).size;
	const inStep = `${targets.length - off} of ${counted$1(targets.length, "target")} in step`;
	return counts.length === 0 ? `✅ ${inStep}` : `${off > 0 ? "❌" : "⚠️"} ${inStep}; ${counts.join(", ")}`;
}
const wideRegions = 8;
function upright(region, isNarrow) {
	const narrow = (part) => part.replaceAll(/(north|south|central|east|west)/g, ([letter = ""]) => letter);
	return (isNarrow ? narrow(region) : region).replaceAll("-", "<br>");
}
function matrix(targets, findings) {
	const accounts = [...new Set(targets.map(({ account }) => account))].sort();
	const regions = [...new Set(targets.map(({ region }) => region))].sort();
	const byPlace = Map.groupBy(findings, placeName);
	const asked = new Set(targets.map(placeName));
	const sign = (account, region) => {
		const name = placeName({
			account,
			region
		});
		const own = byPlace.get(name) ?? [];
		if (!asked.has(name)) return "";
		return [own.some(isOfTarget) ? "" : icons$1["in step"], ...findingKinds.filter((kind) => own.some((one) => one.kind === kind)).map((kind) => icons$1[kind])].join("");
	};
	const legend = [...new Set(["in step", ...findings.map(({ kind }) => kind)])].map((kind) => `${icons$1[kind]} ${kind}`).join(" · ");
	return [
		...["", `| account | ${regions.map((region) => upright(region, regions.length > wideRegions)).join(" | ")} |`],
		`|---|${regions.map(() => ":-:|").join("")}`,
		...accounts.map((account) => `| ${account} | ${regions.map((region) => sign(account, region)).join(" | ")} |`),
		...["", legend]
	];
}
function rowOf({ kind, account, region, id, why, optional }) {
	const what = `${kind}${optional ? " (optional)" : ""}`;
	const told = id !== void 0 && why.startsWith(`${id}: `) ? why.slice(id.length + 2) : why;
	return `| ${icons$1[kind]} | ${account} | ${region} | ${what}${id === void 0 ? "" : `<br>${markdownCell(id)}`} | ${markdownCell(told)} |`;
}
// src/report/stopped.ts
var ProblemsError = class extends Error {
	name = "ProblemsError";
	problems;
	plan;
	madeImageId;
	constructor(problems, plan, madeImageId) {
		const count = problems.length === 1 ? "A problem was" : `${problems.length} problems were`;
		const all = `the ${plan === void 0 ? "job summary" : "file of plan-file"} has them all`;
		const when = madeImageId === void 0 ? "before anything was changed" : `after ${madeImageId} was made of the instance; it is kept, and nothing else was changed`;
		super(`${count} found ${when}.\n${problemLines(problems, all)}`);
		this.problems = problems;
		this.plan = plan;
		this.madeImageId = madeImageId;
	}
};
var StoppedError = class extends Error {
	name = "StoppedError";
	plan;
	constructor(cause, plan) {
		super(errorMessage(cause), { cause });
		this.plan = plan;
	}
};
function problemsOf(error) {
	return error instanceof ProblemsError || error instanceof InputError ? error.problems : [];
}
function sentenceOf(error) {
	if (error instanceof InputError || error instanceof ProblemsError) return error.message;
	const { message, remedy } = explain(error instanceof StoppedError ? error.cause : error);
	return remedy === void 0 ? message : `${message}. What to do: ${remedy}`;
}
function failedRecord({ account, region, optional }, error, known = void 0) {
	return {
		account,
		region,
		amiId: null,
		amiName: known?.amiName ?? null,
		snapshotIds: [],
		kmsKeyArn: known?.kmsKeyArn ?? null,
		status: "failed",
		seconds: 0,
		error,
		...optional && { optional }
	};
}
// src/actions/audit.ts
const auditAction = {
	read: readAudit,
	async run(host, request, signal) {
		const { audit } = await __nccwpck_require__.e(/* import() */ 18).then(__nccwpck_require__.bind(__nccwpck_require__, 18)).then((n) => n.o);
		const { findings, source, seconds } = await audit(host, request, signal);
		const { targets, image, publication } = request;
		const report = {
			targets,
			findings,
			source,
			lineage: image === void 0 ? publication.lineage : void 0,
			seconds,
			problems: [],
			stopped: []
		};
		const { path, problem } = writeJson(host.files, "findings", findings);
		const warnings = problem === void 0 ? [] : [problem];
		const failures = findings.filter(({ kind }) => request.failOn.includes(kind)).map(failureOf$1);
		return {
			outputs: auditOutputs(report, path),
			summary: auditSummary(report),
			failures,
			warnings
		};
	},
	stopped(_host, request, error) {
		const message = sentenceOf(error);
		const problems = together(problemsOf(error));
		const targets = request?.targets ?? [];
		const report = {
			targets,
			findings: targets.map(({ account, region, optional }) => ({
				kind: "unknown",
				account,
				region,
				...optional && { optional },
				why: problems.length > 0 ? "not looked at, because problems were found elsewhere" : message
			})),
			source: void 0,
			seconds: 0,
			problems,
			stopped: problems.length > 0 ? [] : [message]
		};
		return {
			outputs: auditOutputs(report, ""),
			summary: auditSummary(report),
			failures: [{ message }],
			warnings: []
		};
	}
};
function failureOf$1({ kind, account, region, why, optional }) {
	const title = `${placeName({
		account,
		region
	})}${optional ? " (optional)" : ""}`;
	return {
		title,
		message: `${title}: ${kind}: ${why}`,
		allowed: optional === true
	};
}
// src/inputs/recall.ts
const recallWays = [
	"disable",
	"deprecate",
	"deregister"
];
const reasonForm = {
	fits: (text) => text.length <= 256 && !/[\p{Cc}\u2028\u2029]/u.test(text),
	expected: "expected one line of at most 256 characters: it becomes the value of a tag"
};
function readRecall(get, run, { enabled, yaml }) {
	const reader = new Reader(get, yaml);
	const request = {
		...readReach(reader, run, {
			enabled,
			needsKey: false
		}),
		sourceImages: imageIds(reader, "ami-id"),
		targetImages: imageIds(reader, "target-ami-ids"),
		reason: reader.checked("reason", reader.text("reason"), reasonForm),
		how: reader.oneOf("how", recallWays),
		replacement: reader.checked("replacement", reader.optional("replacement"), imageForm),
		includeSource: reader.flag("include-source"),
		restore: reader.flag("restore"),
		ssmParameter: readParameterName(reader, run),
		launchTemplate: readTemplateName(reader, run)
	};
	noteContradictions(reader, request);
	for (const { roleArn = "" } of request.targets) if (needsSourceImage(roleArn)) reader.note("target-role-arn", roleArn, "{name} and {source-ami} are not known in a recall");
	noteOthers(reader, "recall");
	if (reader.problems.length > 0) throw new InputError(reader.problems);
	return request;
}
const imageForm = {
	fits: isImageId,
	expected: "expected the ID of an AMI, such as ami-0123456789abcdef0"
};
function imageIds(reader, name) {
	return reader.list(name).map((id) => reader.checked(name, id, imageForm));
}
function noteContradictions(reader, request) {
	const { sourceImages, targetImages, reason, how, replacement, includeSource, restore } = request;
	const isByTarget = targetImages.length > 0;
	if (isByTarget === sourceImages.length > 0) reader.note("ami-id, target-ami-ids", reader.text("ami-id"), "expected exactly one of these");
	if (reason === "") reader.note("reason", "", "is needed: it stands on the AMI for whoever meets it, and in the summary");
	if (isByTarget && how === "deregister" && !restore) reader.note("how", how, "cannot be used with target-ami-ids: an AMI is deregistered only with all copies of its source");
	if (isByTarget && includeSource) reader.note("include-source", "true", "cannot be used with target-ami-ids, which leave the source AMI as it is");
	if (includeSource && how === "deregister" && !restore) reader.note("include-source", "true", "cannot be used with how: deregister, which removes only what this action made");
	if (replacement !== void 0 && (restore || sourceImages.includes(replacement))) reader.note("replacement", replacement, restore ? "has no effect with restore, which leaves what names an AMI" : "is recalled itself");
}
// src/report/recall.ts
const errorCharacters = 200;
function recallOutputs({ targets, inUse }, files) {
	const outputs = {
		"in-use": outputText(inUse),
		targets: outputText(targets),
		"in-use-file": files.inUse,
		"targets-file": files.targets
	};
	const brief = targets.map(({ error, ...target }) => error === void 0 ? target : {
		...target,
		error: error.slice(0, errorCharacters)
	});
	const uses = inUse.map(({ command: _, ...use }) => use);
	return fitting$1(outputs, [
		{ targets: outputText(brief) },
		{ "in-use": outputText(uses) },
		{ targets: brief },
		{ "in-use": uses }
	]);
}
const icons = {
	disabled: "⛔",
	deprecated: "🕓",
	deregistered: "🗑️",
	restored: "✅",
	absent: "⬜",
	failed: "❌"
};
function recallSummary(report) {
	const { inUse, targets, done, left, failed, reason, seconds, problems } = report;
	const took = seconds > 0 ? ` It took ${spokenSeconds(seconds)}.` : "";
	const uses = inUse.map(({ account, region, amiId, by, command }) => `| ${account} | ${region} | ${markdownCell(amiId)} | ${markdownCell(by)} | ${commandCell(command)} |`);
	const rows = targets.map(({ account, region, amiId, sourceAmi, status }) => {
		return `| ${account} | ${region} | ${amiId === null ? "" : `[${markdownCell(amiId)}](${consoleUrl(region, amiId)})`} | ${markdownCell(sourceAmi ?? "")} | ${icons[status]}&nbsp;${status} |`;
	});
	const list = (all) => all.map((what) => `- ${markdown(what)}`);
	return within([
		`## ${verdict$1(report)}`,
		...reason === "" ? [] : ["", `${markdown(reason)}.${took}`],
		...section("Problems", problemList(problems))
	], [
		...uses.length === 0 ? [] : section("Still in use", [
			"| account | region | AMI | by | what ends it |",
			"|---|---|---|---|---|",
			...uses
		]),
		...section("Failures", failed.flatMap((failure) => failureText(failure))),
		...rows.length === 0 ? [] : section("AMIs", [
			"| account | region | AMI | source | |",
			"|---|---|---|---|---|",
			...rows
		]),
		...section("Left alone", list(left)),
		...section("What was done", list(done))
	], []);
}
function verdict$1({ targets, failed, inUse, restore, problems }) {
	if (problems.length > 0) return "❌ Problems were found; nothing was changed";
	const reached = targets.filter(({ status, amiId }) => status !== "failed" && amiId !== null).length;
	const what = `${counted$1(reached, "AMI")} ${restore ? "restored" : "taken back"}`;
	const places = new Set(inUse.map(placeName)).size;
	const used = inUse.length === 0 ? "" : `; still in use in ${counted$1(places, "target")}`;
	if (failed.length > 0) return `❌ ${what}${used}; not all could be done`;
	return `${inUse.length > 0 ? "⚠️" : "✅"} ${what}${used}`;
}
// src/actions/recall.ts
const recallAction = {
	read: readRecall,
	async run(host, request, signal) {
		const { recall } = await __nccwpck_require__.e(/* import() */ 18).then(__nccwpck_require__.bind(__nccwpck_require__, 18)).then((n) => n.r);
		const recalled = await recall(host, request, signal);
		const { reason, restore } = request;
		const report = {
			...recalled,
			reason,
			restore,
			problems: []
		};
		const inUse = writeJson(host.files, "in-use", recalled.inUse);
		const targets = writeJson(host.files, "targets", recalled.targets);
		return {
			outputs: recallOutputs(report, {
				inUse: inUse.path,
				targets: targets.path
			}),
			summary: recallSummary(report),
			failures: recalled.failed.map((message) => ({ message })),
			warnings: [inUse.problem, targets.problem].filter((one) => one !== void 0)
		};
	},
	stopped(_host, request, error) {
		const message = sentenceOf(error);
		const problems = together(problemsOf(error));
		const failed = problems.length > 0 ? [] : [message];
		const { reason = "", restore = false } = request ?? {};
		const report = {
			targets: [],
			inUse: [],
			done: [],
			left: [],
			seconds: 0,
			failed,
			problems,
			reason,
			restore
		};
		return {
			outputs: recallOutputs(report, {
				inUse: "",
				targets: ""
			}),
			summary: recallSummary(report),
			failures: [{ message }],
			warnings: []
		};
	}
};
// src/actions/share.ts
const shareAction = {
	read: readInputs,
	async run(host, request, signal) {
		const { share } = await __nccwpck_require__.e(/* import() */ 18).then(__nccwpck_require__.bind(__nccwpck_require__, 18)).then((n) => n.n);
		const report = await share(host, request, signal);
		return told(host, report, failuresOf(report));
	},
	stopped: (host, request, error) => told(host, unfinished(request, error), [{ message: sentenceOf(error) }])
};
function told({ files }, report, failures) {
	const plan = writeJson(files, "plan", report.plan);
	const targets = writeJson(files, "targets", report.targets);
	const warnings = [plan, targets].flatMap(({ problem = [] }) => problem);
	return {
		outputs: outputsOf(report, {
			plan,
			targets
		}),
		summary: summaryText(report),
		failures,
		warnings
	};
}
function unfinished(request, error) {
	const problems = problemsOf(error);
	const plan = error instanceof ProblemsError || error instanceof StoppedError ? error.plan : void 0;
	const byPlace = Map.groupBy(problems, ({ where }) => where);
	const plannedIn = new Map(plan?.targets.map((target) => [placeName(target), target]));
	const otherwise = problems.length > 0 ? "not begun, because problems were found elsewhere" : sentenceOf(error);
	const targets = (request?.targets ?? []).map((target) => {
		const place = placeName(target);
		const own = byPlace.get(place)?.map(({ what }) => what);
		return failedRecord(target, own?.join("; ") ?? otherwise, plannedIn.get(place));
	});
	const madeImageId = error instanceof ProblemsError ? error.madeImageId : void 0;
	const sourceAmiId = plan?.source.amiId ?? madeImageId ?? (request?.image.by === "id" ? request.image.id : "");
	const failures = problems.length > 0 ? [] : [sentenceOf(error)];
	return {
		sourceAmiId,
		plan,
		problems: together(problems),
		madeImageId,
		targets,
		failures,
		cleanUp: {
			done: [],
			failed: []
		},
		timeline: [],
		seconds: 0
	};
}
function failuresOf({ targets, failures, cleanUp, plan }) {
	const failed = targets.filter(({ status }) => status === "failed");
	return [
		...failures.map((message) => ({
			title: "Share Encrypted AMI",
			message
		})),
		...failed.map(({ account, region, error = "", optional = false }) => {
			const title = `${placeName({
				account,
				region
			})}${optional ? " (optional)" : ""}`;
			return {
				title,
				message: `${title}: ${error}`,
				allowed: optional || plan?.dryRun === true
			};
		}),
		...cleanUp.failed.map((what) => ({
			title: "Left behind",
			message: `left behind: ${what}`
		}))
	];
}
// src/inputs/sweep.ts
function readSweep(get, run, { enabled, yaml }) {
	const reader = new Reader(get, yaml);
	const reach = readReach(reader, run, {
		enabled,
		needsKey: false
	});
	const request = {
		...reach,
		hubKmsKey: readHubKey(reader, reach.source.region, run)
	};
	for (const { roleArn = "" } of reach.targets) if (needsSourceImage(roleArn)) reader.note("target-role-arn", roleArn, "{name} and {source-ami} are not known in a sweep");
	noteOthers(reader, "sweep");
	if (reader.problems.length > 0) throw new InputError(reader.problems);
	return request;
}
// src/report/sweep.ts
const leftInOptional = (what) => `left behind in an optional target: ${what}`;
function sweepSummary(swept) {
	const { problems = [], stopped = [] } = swept;
	const rest = swept.allowed.map((what) => `- ${markdown(leftInOptional(what))}`);
	const failing = stopped.flatMap((failure) => failureText(failure));
	return within([
		`## ${verdict(swept)}`,
		...section("Problems", problemList(problems)),
		...section("Failures", failing)
	], section("Cleaned up", [...cleanedList(swept), ...rest]), []);
}
function verdict({ done, failed, problems = [], stopped = [] }) {
	if (problems.length > 0) return "❌ Problems were found; nothing was changed";
	if (stopped.length > 0) return "❌ The sweep failed";
	if (failed.length > 0) return "❌ Not all that earlier runs left could be taken back";
	return done.length > 0 ? "🧹 What earlier runs left is taken back" : "🧹 Earlier runs left nothing";
}
// src/actions/sweep.ts
const sweepAction = {
	read: readSweep,
	async run(host, request, signal) {
		const { sweep } = await __nccwpck_require__.e(/* import() */ 18).then(__nccwpck_require__.bind(__nccwpck_require__, 18)).then((n) => n.s);
		const swept = await sweep(host, request, signal);
		const failures = swept.failed.map((what) => ({
			title: "Left behind",
			message: `left behind: ${what}`
		}));
		return {
			outputs: {},
			warnings: swept.allowed.map(leftInOptional),
			summary: sweepSummary(swept),
			failures
		};
	},
	stopped(_host, _request, error) {
		const problems = together(problemsOf(error));
		const message = sentenceOf(error);
		return {
			outputs: {},
			warnings: [],
			summary: sweepSummary({
				done: [],
				failed: [],
				allowed: [],
				problems,
				stopped: problems.length > 0 ? [] : [message]
			}),
			failures: [{ message }]
		};
	}
};
// src/aws/runner-token.ts
function offersToken({ env }) {
	return Boolean(env.ACTIONS_ID_TOKEN_REQUEST_URL && env.ACTIONS_ID_TOKEN_REQUEST_TOKEN);
}
function tokenRemedy({ env }) {
	return `give the job "permissions: id-token: write"${env.GITHUB_EVENT_NAME === "pull_request" ? " (a pull request from a fork is never given one)" : ""}`;
}
const clockMs = 3e5;
function tokensEndAt({ env, clock }) {
	const { nbf, iat, exp } = payloadOf(env.ACTIONS_ID_TOKEN_REQUEST_TOKEN ?? "");
	if (typeof exp !== "number" || !Number.isFinite(exp)) return void 0;
	const beginsAt = [nbf, iat].find((one) => typeof one === "number") ?? 0;
	const now = clock.now();
	return now < exp * 1e3 && now >= beginsAt * 1e3 - clockMs ? exp * 1e3 : void 0;
}
function payloadOf(token) {
	try {
		const payload = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
		return typeof payload === "object" && payload !== null ? { ...payload } : {};
	} catch {
		return {};
	}
}
// src/aws/session-options.ts
const takeBackMs = 12e5;
const maxChainedSeconds = 3600;
const maxSessionSeconds = 43200;
function lastMomentOf(options, host) {
	const endsAt = usesToken(options, host) ? tokensEndAt(host) : void 0;
	if (endsAt === void 0) return void 0;
	const mostSeconds = options.roleChaining ? maxChainedSeconds : maxSessionSeconds;
	const seconds = Math.min(options.durationSeconds, mostSeconds);
	return {
		at: endsAt + seconds * 1e3 - takeBackMs,
		canBeLater: seconds < mostSeconds
	};
}
function usesAssumeRole(options, host) {
	return options.roleChaining || !usesToken(options, host);
}
function usesToken({ from }, host) {
	return from === "oidc" || from === "auto" && offersToken(host);
}
// src/context.ts
function runContext({ workflow, env, clock }) {
	const { serverUrl, runId, runAttempt, sha } = workflow;
	const repository = env.GITHUB_REPOSITORY;
	return {
		runUrl: repository !== void 0 && Number.isFinite(runId) ? `${serverUrl}/${repository}/actions/runs/${runId}` : "",
		runId: Number.isFinite(runId) ? String(runId) : "",
		runAttempt: Number.isFinite(runAttempt) ? runAttempt : 1,
		sha: sha ?? "",
		date: new Date(clock.now()),
		lastMoment: (sessions) => lastMomentOf(sessions, {
			env,
			clock
		}),
		defaultRegion: env.AWS_REGION || env.AWS_DEFAULT_REGION || void 0
	};
}
// src/inputs/yaml.ts
const mayHold = [
	"targets",
	"tags",
	"intermediate-tags",
	"role-session-tags"
];
async function yamlFor(get) {
	if (mayHold.every((name) => get(name).trim() === "")) return void 0;
	const { isAlias, isScalar, parseDocument, visit } = await __nccwpck_require__.e(/* import() */ 88).then(__nccwpck_require__.bind(__nccwpck_require__, 88)).then((n) => (0,rolldown_runtime.i)(n.t(), 1));
	return {
		isAlias,
		isScalar,
		parseDocument,
		visit
	};
}
// src/main.ts
async function main(host, cancelled, action) {
	const told = await outcomeOf(host, cancelled, action);
	await tell(host, told);
	annotate(host, told.failures);
}
async function outcomeOf(host, cancelled, action) {
	const { runner, clock } = host;
	let request;
	try {
		const context = runContext(host);
		maskAccounts(runner);
		const yaml = await yamlFor(runner.input);
		const read = (enabled) => action.read(runner.input, context, {
			readFile: host.files.read,
			enabled,
			yaml
		});
		request = read();
		const { minutes, cut } = request.timeout;
		if (cut !== void 0) runner.info(logText(`timeout-minutes is ${minutes}: ${cut}`));
		const late = new TimeOutError(`the run took longer than timeout-minutes (${minutes})`);
		const stop = AbortSignal.any([cancelled, clock.after(minutes * 6e4, late)]);
		if (request.targets.some(({ everyRegion }) => everyRegion !== void 0)) {
			const { readEnabledRegions } = await __nccwpck_require__.e(/* import() */ 18).then(__nccwpck_require__.bind(__nccwpck_require__, 18)).then((n) => n.i);
			request = read(await readEnabledRegions(host, request, stop));
		}
		for (const what of request.unmatched) runner.warning(logText(what));
		return await action.run(host, request, stop);
	} catch (error) {
		return action.stopped(host, request, error);
	}
}
async function tell({ runner, env }, told) {
	const attempt = async (what, write) => {
		try {
			await write();
		} catch (error) {
			runner.warning(logText(`${what} could not be written: ${errorMessage(error)}`));
		}
	};
	for (const warning of told.warnings) runner.warning(logText(warning));
	const outputs = Object.entries(told.outputs);
	await attempt(`the outputs (${env.GITHUB_OUTPUT})`, () => {
		const failures = outputs.flatMap(([name, value]) => failureOf(() => runner.setOutput(name, value)) ?? []);
		if (failures.length > 0) throw failures[0];
	});
	await attempt(`the job summary (${env.GITHUB_STEP_SUMMARY})`, () => runner.writeSummary(told.summary));
}
function failureOf(act) {
	try {
		act();
		return;
	} catch (error) {
		return error;
	}
}
function maskAccounts({ mask, input }) {
	const reader = new Reader(input);
	if (!reader.flag("mask-aws-account-id") && reader.noted === 0) return;
	const texts = inputNames.map((name) => reader.raw(name));
	for (const [account] of texts.join("\n").matchAll(/(?<!\d)\d{12}(?!\d)/g)) mask(account);
}
const maxAnnotations = 10;
function annotate({ runner }, failures) {
	const { errors = [], warnings = [] } = Object.groupBy(failures, ({ allowed }) => allowed ? "warnings" : "errors");
	if (errors.length > 0) runner.fail();
	annotateAs(runner.error, errors);
	annotateAs(runner.warning, warnings);
}
function annotateAs(tell, failures) {
	const shown = failures.length > maxAnnotations ? failures.slice(0, 9) : failures;
	for (const { title, message } of shown) tell(logText(message), title === void 0 ? void 0 : logText(title));
	const more = failures.length - shown.length;
	if (more > 0) tell(logText(`${more} more failed; the job summary names them all`));
}
// node_modules/@actions/core/lib/utils.js
function toCommandValue(input) {
	if (input === null || input === void 0) return "";
	else if (typeof input === "string" || input instanceof String) return input;
	return JSON.stringify(input);
}
function toCommandProperties(annotationProperties) {
	if (!Object.keys(annotationProperties).length) return {};
	return {
		title: annotationProperties.title,
		file: annotationProperties.file,
		line: annotationProperties.startLine,
		endLine: annotationProperties.endLine,
		col: annotationProperties.startColumn,
		endColumn: annotationProperties.endColumn
	};
}
// node_modules/@actions/core/lib/command.js
function issueCommand(command, properties, message) {
	const cmd = new Command(command, properties, message);
	process.stdout.write(cmd.toString() + external_os_namespaceObject.EOL);
}
function issue(name, message = "") {
	issueCommand(name, {}, message);
}
const CMD_STRING = "::";
var Command = class {
	constructor(command, properties, message) {
		if (!command) command = "missing.command";
		this.command = command;
		this.properties = properties;
		this.message = message;
	}
	toString() {
		let cmdStr = CMD_STRING + this.command;
		if (this.properties && Object.keys(this.properties).length > 0) {
			cmdStr += " ";
			let first = true;
			for (const key in this.properties) if (this.properties.hasOwnProperty(key)) {
				const val = this.properties[key];
				if (val) {
					if (first) first = false;
					else cmdStr += ",";
					cmdStr += `${key}=${escapeProperty(val)}`;
				}
			}
		}
		cmdStr += `${CMD_STRING}${escapeData(this.message)}`;
		return cmdStr;
	}
};
function escapeData(s) {
	return toCommandValue(s).replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
}
function escapeProperty(s) {
	return toCommandValue(s).replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A").replace(/:/g, "%3A").replace(/,/g, "%2C");
}
// node_modules/@actions/core/lib/file-command.js
function issueFileCommand(command, message) {
	const filePath = process.env[`GITHUB_${command}`];
	if (!filePath) throw new Error(`Unable to find environment variable for file command ${command}`);
	if (!external_fs_namespaceObject.existsSync(filePath)) throw new Error(`Missing file at path: ${filePath}`);
	external_fs_namespaceObject.appendFileSync(filePath, `${toCommandValue(message)}${external_os_namespaceObject.EOL}`, { encoding: "utf8" });
}
function prepareKeyValueMessage(key, value) {
	const delimiter = `ghadelimiter_${external_crypto_namespaceObject.randomUUID()}`;
	const convertedValue = toCommandValue(value);
	if (key.includes(delimiter)) throw new Error(`Unexpected input: name should not contain the delimiter "${delimiter}"`);
	if (convertedValue.includes(delimiter)) throw new Error(`Unexpected input: value should not contain the delimiter "${delimiter}"`);
	return `${key}<<${delimiter}${external_os_namespaceObject.EOL}${convertedValue}${external_os_namespaceObject.EOL}${delimiter}`;
}
// node_modules/@actions/core/lib/summary.js
var __awaiter$1 = function(thisArg, _arguments, P, generator) {
	function adopt(value) {
		return value instanceof P ? value : new P(function(resolve) {
			resolve(value);
		});
	}
	return new (P || (P = Promise))(function(resolve, reject) {
		function fulfilled(value) {
			try {
				step(generator.next(value));
			} catch (e) {
				reject(e);
			}
		}
		function rejected(value) {
			try {
				step(generator["throw"](value));
			} catch (e) {
				reject(e);
			}
		}
		function step(result) {
			result.done ? resolve(result.value) : adopt(result.value).then(fulfilled, rejected);
		}
		step((generator = generator.apply(thisArg, _arguments || [])).next());
	});
};
const { access, appendFile, writeFile } = external_fs_namespaceObject.promises;
const SUMMARY_ENV_VAR = "GITHUB_STEP_SUMMARY";
var Summary = class {
	constructor() {
		this._buffer = "";
	}
	filePath() {
		return __awaiter$1(this, void 0, void 0, function* () {
			if (this._filePath) return this._filePath;
			const pathFromEnv = process.env[SUMMARY_ENV_VAR];
			if (!pathFromEnv) throw new Error(`Unable to find environment variable for $${SUMMARY_ENV_VAR}. Check if your runtime environment supports job summaries.`);
			try {
				yield access(pathFromEnv, external_fs_namespaceObject.constants.R_OK | external_fs_namespaceObject.constants.W_OK);
			} catch (_a) {
				throw new Error(`Unable to access summary file: '${pathFromEnv}'. Check if the file has correct read/write permissions.`);
			}
			this._filePath = pathFromEnv;
			return this._filePath;
		});
	}
	wrap(tag, content, attrs = {}) {
		const htmlAttrs = Object.entries(attrs).map(([key, value]) => ` ${key}="${value}"`).join("");
		if (!content) return `<${tag}${htmlAttrs}>`;
		return `<${tag}${htmlAttrs}>${content}</${tag}>`;
	}
	write(options) {
		return __awaiter$1(this, void 0, void 0, function* () {
			const overwrite = !!(options === null || options === void 0 ? void 0 : options.overwrite);
			const filePath = yield this.filePath();
			yield (overwrite ? writeFile : appendFile)(filePath, this._buffer, { encoding: "utf8" });
			return this.emptyBuffer();
		});
	}
	clear() {
		return __awaiter$1(this, void 0, void 0, function* () {
			return this.emptyBuffer().write({ overwrite: true });
		});
	}
	stringify() {
		return this._buffer;
	}
	isEmptyBuffer() {
		return this._buffer.length === 0;
	}
	emptyBuffer() {
		this._buffer = "";
		return this;
	}
	addRaw(text, addEOL = false) {
		this._buffer += text;
		return addEOL ? this.addEOL() : this;
	}
	addEOL() {
		return this.addRaw(external_os_namespaceObject.EOL);
	}
	addCodeBlock(code, lang) {
		const attrs = Object.assign({}, lang && { lang });
		const element = this.wrap("pre", this.wrap("code", code), attrs);
		return this.addRaw(element).addEOL();
	}
	addList(items, ordered = false) {
		const tag = ordered ? "ol" : "ul";
		const listItems = items.map((item) => this.wrap("li", item)).join("");
		const element = this.wrap(tag, listItems);
		return this.addRaw(element).addEOL();
	}
	addTable(rows) {
		const tableBody = rows.map((row) => {
			const cells = row.map((cell) => {
				if (typeof cell === "string") return this.wrap("td", cell);
				const { header, data, colspan, rowspan } = cell;
				const tag = header ? "th" : "td";
				const attrs = Object.assign(Object.assign({}, colspan && { colspan }), rowspan && { rowspan });
				return this.wrap(tag, data, attrs);
			}).join("");
			return this.wrap("tr", cells);
		}).join("");
		const element = this.wrap("table", tableBody);
		return this.addRaw(element).addEOL();
	}
	addDetails(label, content) {
		const element = this.wrap("details", this.wrap("summary", label) + content);
		return this.addRaw(element).addEOL();
	}
	addImage(src, alt, options) {
		const { width, height } = options || {};
		const attrs = Object.assign(Object.assign({}, width && { width }), height && { height });
		const element = this.wrap("img", null, Object.assign({
			src,
			alt
		}, attrs));
		return this.addRaw(element).addEOL();
	}
	addHeading(text, level) {
		const tag = `h${level}`;
		const allowedTag = [
			"h1",
			"h2",
			"h3",
			"h4",
			"h5",
			"h6"
		].includes(tag) ? tag : "h1";
		const element = this.wrap(allowedTag, text);
		return this.addRaw(element).addEOL();
	}
	addSeparator() {
		const element = this.wrap("hr", null);
		return this.addRaw(element).addEOL();
	}
	addBreak() {
		const element = this.wrap("br", null);
		return this.addRaw(element).addEOL();
	}
	addQuote(text, cite) {
		const attrs = Object.assign({}, cite && { cite });
		const element = this.wrap("blockquote", text, attrs);
		return this.addRaw(element).addEOL();
	}
	addLink(text, href) {
		const element = this.wrap("a", text, { href });
		return this.addRaw(element).addEOL();
	}
};
const summary = new Summary();
var ExitCode;
(function(ExitCode) {
	ExitCode[ExitCode["Success"] = 0] = "Success";
	ExitCode[ExitCode["Failure"] = 1] = "Failure";
})(ExitCode || (ExitCode = {}));
function setSecret(secret) {
	issueCommand("add-mask", {}, secret);
}
function getInput(name, options) {
	const val = process.env[`INPUT_${name.replace(/ /g, "_").toUpperCase()}`] || "";
	if (options && options.required && !val) throw new Error(`Input required and not supplied: ${name}`);
	if (options && options.trimWhitespace === false) return val;
	return val.trim();
}
function setOutput(name, value) {
	if (process.env["GITHUB_OUTPUT"] || "") return issueFileCommand("OUTPUT", prepareKeyValueMessage(name, value));
	process.stdout.write(external_os_namespaceObject.EOL);
	issueCommand("set-output", { name }, toCommandValue(value));
}
function error(message, properties = {}) {
	issueCommand("error", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
function warning(message, properties = {}) {
	issueCommand("warning", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
function info(message) {
	process.stdout.write(message + external_os_namespaceObject.EOL);
}
function startGroup(name) {
	issue("group", name);
}
function endGroup() {
	issue("endgroup");
}
function saveState(name, value) {
	if (process.env["GITHUB_STATE"] || "") return issueFileCommand("STATE", prepareKeyValueMessage(name, value));
	issueCommand("save-state", { name }, toCommandValue(value));
}
function getState(name) {
	return process.env[`STATE_${name}`] || "";
}
// node_modules/@actions/github/lib/context.js
var Context = class {
	constructor() {
		var _a, _b, _c;
		this.payload = {};
		if (process.env.GITHUB_EVENT_PATH) {
			if ((0,external_fs_namespaceObject.existsSync)(process.env.GITHUB_EVENT_PATH)) this.payload = JSON.parse((0,external_fs_namespaceObject.readFileSync)(process.env.GITHUB_EVENT_PATH, { encoding: "utf8" }));
			else {
				const path = process.env.GITHUB_EVENT_PATH;
				process.stdout.write(`GITHUB_EVENT_PATH ${path} does not exist${external_os_namespaceObject.EOL}`);
			}
		}
		this.eventName = process.env.GITHUB_EVENT_NAME;
		this.sha = process.env.GITHUB_SHA;
		this.ref = process.env.GITHUB_REF;
		this.workflow = process.env.GITHUB_WORKFLOW;
		this.action = process.env.GITHUB_ACTION;
		this.actor = process.env.GITHUB_ACTOR;
		this.job = process.env.GITHUB_JOB;
		this.runAttempt = parseInt(process.env.GITHUB_RUN_ATTEMPT, 10);
		this.runNumber = parseInt(process.env.GITHUB_RUN_NUMBER, 10);
		this.runId = parseInt(process.env.GITHUB_RUN_ID, 10);
		this.apiUrl = (_a = process.env.GITHUB_API_URL) !== null && _a !== void 0 ? _a : `https://api.github.com`;
		this.serverUrl = (_b = process.env.GITHUB_SERVER_URL) !== null && _b !== void 0 ? _b : `https://github.com`;
		this.graphqlUrl = (_c = process.env.GITHUB_GRAPHQL_URL) !== null && _c !== void 0 ? _c : `https://api.github.com/graphql`;
	}
	get issue() {
		const payload = this.payload;
		return Object.assign(Object.assign({}, this.repo), { number: (payload.issue || payload.pull_request || payload).number });
	}
	get repo() {
		if (process.env.GITHUB_REPOSITORY) {
			const [owner, repo] = process.env.GITHUB_REPOSITORY.split("/");
			return {
				owner,
				repo
			};
		}
		if (this.payload.repository) return {
			owner: this.payload.repository.owner.login,
			repo: this.payload.repository.name
		};
		throw new Error("context.repo requires a GITHUB_REPOSITORY environment variable like 'owner/repo'");
	}
};
// node_modules/@actions/github/lib/github.js
const context = new Context();
// src/machine.ts
function thisMachine() {
	const name = machineName();
	return {
		name,
		process: name === "" ? "" : processName(process.pid),
		isRunning
	};
}
function machineName() {
	try {
		return sha256((0,external_node_fs_.readFileSync)("/proc/sys/kernel/random/boot_id", "utf8") + (0,external_node_fs_.readlinkSync)("/proc/self/ns/pid")).slice(0, 16);
	} catch {
		return "";
	}
}
function processName(pid) {
	const stat = (0,external_node_fs_.readFileSync)(`/proc/${pid}/stat`, "utf8");
	const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	if (state === "Z" || state === "X") throw new Error("the process has ended");
	return `${pid}.${fields[18]}`;
}
function isRunning(process) {
	try {
		return processName(process.split(".")[0] ?? "") === process;
	} catch {
		return false;
	}
}
// src/node-host.ts
function nodeHost() {
	return {
		env: process.env,
		workflow: context,
		clock: systemClock,
		runner: actionsRunner,
		machine: thisMachine(),
		...networkByNeed(),
		files: systemFiles
	};
}
function networkByNeed() {
	let opened;
	const network = () => {
		opened ??= __nccwpck_require__.e(/* import() */ 18).then(__nccwpck_require__.bind(__nccwpck_require__, 18)).then((n) => n.a).then(({ openNetwork }) => openNetwork());
		return opened;
	};
	return {
		http: { handle: async (request, options) => (await network()).http.handle(request, options) },
		ambientCredentials: async () => (await network()).ambientCredentials()
	};
}
const systemFiles = {
	temp: process.env.RUNNER_TEMP || void 0,
	read: readTextFile,
	write(path, content) {
		const beside = `${path}.${(0,external_node_crypto_.randomUUID)()}`;
		(0,external_node_fs_.writeFileSync)(beside, content, {
			mode: 384,
			flag: "wx"
		});
		(0,external_node_fs_.renameSync)(beside, path);
	}
};
const actionsRunner = {
	input: (name) => getInput(name, { trimWhitespace: false }),
	savedState: getState,
	saveState,
	setOutput,
	mask: setSecret,
	info,
	warning: (message, title) => warning(message, title === void 0 ? {} : { title }),
	error: (message, title) => error(message, title === void 0 ? {} : { title }),
	startGroup,
	endGroup,
	async writeSummary(markdown) {
		if (process.env.GITHUB_STEP_SUMMARY) await summary.addRaw(markdown, true).write();
	},
	fail() {
		process.exitCode = ExitCode.Failure;
	}
};
// src/saved-state.ts
const format = 2;
const headName = "ledger";
const entryCharacters = 3e4;
const maxEntries = 16;
const plainCharacters = 7e3;
function openSavedParts(save, files) {
	const means = {
		save,
		files,
		own: ownName("undo")
	};
	let saved = new Map();
	const entriesOf = (parts) => [...parts.values()].flatMap(({ form }) => "entries" in form ? form.entries : []);
	const blank = (names) => {
		for (const name of names) save(name, "");
	};
	return {
		write(parts) {
			const next = new Map(saved);
			for (const [part, value] of Object.entries(parts)) {
				const text = JSON.stringify(value);
				const former = saved.get(part);
				if (former?.text === text) continue;
				const turn = former?.turn === 0 ? 1 : 0;
				next.delete(part);
				const room = maxEntries - entriesOf(next).length;
				next.set(part, {
					text,
					turn,
					form: put({
						text,
						value
					}, {
						name: `${part}-${turn}`,
						room
					}, means)
				});
			}
			if ([...next].every(([part, { text }]) => saved.get(part)?.text === text)) return;
			save(headName, JSON.stringify({
				format,
				parts: Object.fromEntries([...next].map(([p, { form }]) => [p, form]))
			}));
			const kept = new Set(entriesOf(next));
			const gone = entriesOf(saved).filter((name) => !kept.has(name));
			saved = next;
			blank(gone);
		},
		clear() {
			const gone = entriesOf(saved);
			saved = new Map();
			save(headName, "");
			blank(gone);
		}
	};
}
function put({ text, value }, { name, room }, { save, files, own }) {
	if (text.length <= plainCharacters) return { plain: value };
	const packed = pack(text);
	const count = Math.ceil(packed.length / entryCharacters);
	if (count > room) {
		const file = `${own}-${name}.json`;
		const problem = fileProblem(files, file, text);
		if (problem !== void 0) throw new Error(`what would have to be undone can't be saved for the post step: it takes ${count} entries of saved state, there is room for ${room}, and ${problem}`);
		return {
			file,
			sha256: sha256(text)
		};
	}
	const entries = Array.from({ length: count }, (_, index) => `${headName}-${name}-${index}`);
	for (const [index, entry] of entries.entries()) save(entry, packed.slice(index * entryCharacters, (index + 1) * entryCharacters));
	return { entries };
}
function fileProblem(files, name, text) {
	if (files.temp === void 0) return "RUNNER_TEMP, which could hold it, is not set";
	const path = (0,external_node_path_.join)(files.temp, name);
	try {
		files.write(path, text);
		return;
	} catch (error) {
		return `${path} could not be written: ${errorMessage(error)}`;
	}
}
function roomProblem(packedCharacters, files) {
	if (packedCharacters <= maxEntries * entryCharacters) return void 0;
	return fileProblem(files, ownName("undo-room"), "");
}
const zlib = () => process.getBuiltinModule("node:zlib");
function pack(text) {
	const { brotliCompressSync, constants } = zlib();
	return brotliCompressSync(text, { params: {
		[constants.BROTLI_PARAM_QUALITY]: 5,
		[constants.BROTLI_PARAM_LGWIN]: 22
	} }).toString("base64");
}
function readSavedParts(get, files) {
	const parts = new Map();
	const unread = [];
	const attempt = (part, read) => {
		try {
			read();
		} catch (error) {
			unread.push({
				part,
				why: errorMessage(error)
			});
		}
	};
	attempt(void 0, () => {
		const text = get(headName);
		if (text === "") return;
		for (const [part, form] of Object.entries(readHead(text))) attempt(part, () => parts.set(part, readForm(form, get, files)));
	});
	return {
		parts,
		unread
	};
}
function readHead(text) {
	const head = JSON.parse(text);
	if (!isRecord(head) || !isRecord(head.parts)) throw new Error("it is not what this action saves");
	if (head.format !== format) throw new Error(`it is of format ${JSON.stringify(head.format)}, and this version of the action knows ${format}`);
	return head.parts;
}
function readForm(form, get, files) {
	if (isRecord(form) && "plain" in form) return form.plain;
	if (isRecord(form) && Array.isArray(form.entries)) {
		const packed = form.entries.map((name) => get(String(name))).join("");
		return JSON.parse(zlib().brotliDecompressSync(Buffer.from(packed, "base64")).toString("utf8"));
	}
	if (!isRecord(form) || typeof form.file !== "string") throw new Error("it is not what this action saves");
	if (files.temp === void 0) throw new Error(`RUNNER_TEMP, in which ${form.file} is, is not set`);
	const text = files.read((0,external_node_path_.join)(files.temp, form.file));
	if (sha256(text) !== form.sha256) throw new Error(`the file ${form.file} is not as it was written: it is not acted on`);
	return JSON.parse(text);
}
// src/ledger.ts
const emptyLedger = {
	imageId: "",
	leaseId: "",
	leased: false,
	since: 0,
	grantKeys: [],
	unshown: [],
	shares: [],
	regions: [],
	targets: {},
	boots: false,
	promotions: [],
	versions: [],
	account: "",
	region: "",
	isSettled: false,
	keepPending: false,
	finished: []
};
function openLedger(save, files) {
	const saved = openSavedParts(save, files);
	let state;
	const write = (change) => {
		const next = {
			...emptyLedger,
			...state,
			...change
		};
		const { shares, targets, promotions, versions, finished, ...run } = next;
		saved.write({
			run,
			shares,
			targets,
			finished,
			promotions: promotions.map(savedPromotion),
			versions
		});
		state = next;
	};
	return {
		get state() {
			return state;
		},
		write,
		addShare(region, resource, accounts) {
			const shares = state?.shares ?? [];
			const at = shares.findIndex((entry) => entry.region === region && entry.accounts.join() === accounts.join());
			const known = shares[at];
			const entry = {
				region,
				accounts,
				resources: [...known?.resources ?? [], resource]
			};
			write({ shares: known === void 0 ? [...shares, entry] : shares.with(at, entry) });
		},
		clear() {
			state = void 0;
			saved.clear();
		}
	};
}
function savedPromotion({ before, ...promotion }) {
	return {
		...promotion,
		before: before?.version === void 0 ? before : { version: before.version }
	};
}
const charactersPerTarget = 30;
const charactersPerParameter = 50;
const charactersPerTemplate = 60;
function ledgerProblem({ targets, parameters, templates = 0 }, files) {
	const references = parameters * charactersPerParameter + templates * charactersPerTemplate;
	const problem = roomProblem(targets * charactersPerTarget + references, files);
	if (problem === void 0) return void 0;
	return `what has to be undone of ${targets} targets, ${parameters} SSM parameters and ${templates} launch templates, should the run be killed, is more than saved state holds, and ${problem}`;
}
const readers = new Map([
	["run", (value) => isRunPart(value) ? value : void 0],
	["shares", (value) => isListOf(value, isShareEntry) ? { shares: value } : void 0],
	["targets", (value) => isTextsByName(value) ? { targets: value } : void 0],
	["finished", (value) => isTexts(value) ? { finished: value } : void 0],
	["versions", (value) => isListOf(value, isNewVersion) ? { versions: value } : void 0],
	["promotions", (value) => isListOf(value, isPromotion) ? { promotions: value } : void 0]
]);
const words = new Map([
	["run", "the AMI, its lease and the grants"],
	["shares", "the shares"],
	["targets", "the targets"],
	["finished", "the AMIs that are finished"],
	["promotions", "the SSM parameters"],
	["versions", "the launch templates"]
]);
function savedLedger(get, files) {
	const saved = readSavedParts(get, files);
	const unread = saved.unread.map(({ part, why }) => part === void 0 ? `all of it: ${why}` : `${words.get(part) ?? part}: ${why}`);
	const known = [];
	for (const [part, value] of saved.parts) {
		const read = readers.get(part)?.(value);
		if (read === void 0) unread.push(`${words.get(part) ?? part}: it is not what this action saves`);
		else known.push(read);
	}
	return {
		state: known.length === 0 ? void 0 : Object.assign({}, emptyLedger, ...known),
		unread
	};
}
function isTextsByName(value) {
	return isRecord(value) && Object.values(value).every(isTexts);
}
function isRunPart(value) {
	return isRecord(value) && [
		value.imageId,
		value.leaseId,
		value.account,
		value.region
	].every(isText) && [
		value.leased,
		value.keepPending,
		value.boots,
		value.isSettled
	].every((flag) => typeof flag === "boolean") && Number.isFinite(value.since) && [
		value.grantKeys,
		value.unshown,
		value.regions
	].every(isTexts);
}
function isShareEntry(value) {
	return isRecord(value) && isText(value.region) && isTexts(value.resources) && isTexts(value.accounts);
}
function isNewVersion(value) {
	if (!isRecord(value) || ![
		value.place,
		value.template,
		value.amiId
	].every(isText)) return false;
	const isNumber = (one) => Number.isInteger(one);
	return isNumber(value.latest) && isNumber(value.formerDefault) && (value.existing === void 0 || isNumber(value.existing));
}
function isPromotion(value) {
	if (!isRecord(value) || ![
		value.place,
		value.name,
		value.amiId
	].every(isText)) return false;
	const { before } = value;
	return before === null || isRecord(before) && (Number.isInteger(before.version) || isText(before.value));
}
// src/post.ts
async function post$1(host) {
	const { runner } = host;
	const warn = (message) => runner.warning(logText(oneLine(message)));
	try {
		const { state, unread } = savedLedger(runner.savedState, host.files);
		for (const what of unread) warn(`some of what the run has to undo could not be read, and stays as it is: ${what}`);
		if (state === void 0) return;
		const reader = new Reader(runner.input, await yamlFor(runner.input));
		const context = runContext(host);
		const settings = readSettings(reader, {
			...context,
			defaultRegion: state.region || context.defaultRegion
		});
		if (reader.problems.length > 0) throw new InputError(reader.problems);
		const { takeBack } = await __nccwpck_require__.e(/* import() */ 18).then(__nccwpck_require__.bind(__nccwpck_require__, 18)).then((n) => n.t);
		const { done, failed, warned } = await takeBack(host, settings, state);
		for (const what of warned) warn(what);
		for (const what of done) runner.info(logText(oneLine(what)));
		const next = state.imageId === "" ? "" : `. The next run on ${state.imageId} takes it back`;
		for (const what of failed) {
			const told = what.replace(/\.+$/, "");
			if (state.isSettled) runner.info(logText(oneLine(`could not look again: ${told}`)));
			else warn(`left behind: ${told}${next}`);
		}
	} catch (error) {
		warn(`the clean-up failed: ${explainLine(error)}`);
	}
}
// src/index.ts
const share = () => start(shareAction);
const post = () => void post$1(nodeHost());
const sweep = () => start(sweepAction);
const audit = () => start(auditAction);
const recall = () => start(recallAction);
function start(action) {
	collectEarly();
	const cancelled = new AbortController();
	for (const name of ["SIGINT", "SIGTERM"]) process.on(name, () => cancelled.abort(new CancelError(`the run was cancelled (${name})`)));
	const host = nodeHost();
	main(host, cancelled.signal, action).catch((error) => {
		host.runner.fail();
		host.runner.error(logText(errorMessage(error)));
	});
}
function collectEarly() {
	(0,external_node_v8_namespaceObject.setFlagsFromString)("--semi-space-growth-factor=1");
	(0,external_node_v8_namespaceObject.setFlagsFromString)("--heap-growing-percent=30");
}



/***/ }),

/***/ 254:
/***/ ((__unused_webpack___webpack_module__, __webpack_exports__, __nccwpck_require__) => {


// EXPORTS
__nccwpck_require__.d(__webpack_exports__, {
  i: () => (/* binding */ __toESM),
  n: () => (/* binding */ __exportAll),
  r: () => (/* binding */ __require),
  t: () => (/* binding */ __commonJSMin)
});

;// CONCATENATED MODULE: external "node:module"
const external_node_module_namespaceObject = __WEBPACK_EXTERNAL_createRequire(import.meta.url)("node:module");
;// CONCATENATED MODULE: ./rolldown-runtime.js

// \0rolldown/runtime.js
var __create = Object.create;
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __getProtoOf = Object.getPrototypeOf;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __commonJSMin = (cb, mod) => () => (mod || (cb((mod = { exports: {} }).exports, mod, mod.exports), cb = null), mod.exports);
var __exportAll = (all, flags) => {
	let target = Object.setPrototypeOf({}, null);
	for (var name in all) __defProp(target, name, {
		get: all[name],
		enumerable: true
	});
	if (!(flags & 1)) __defProp(target, Symbol.toStringTag, { value: "Module" });
	return flags & 2 ? target : Object.preventExtensions(target);
};
var __copyProps = (to, from, except, desc) => {
	if (from && typeof from === "object" || typeof from === "function") for (var keys = __getOwnPropNames(from), i = 0, n = keys.length, key; i < n; i++) {
		key = keys[i];
		if (!__hasOwnProp.call(to, key) && key !== except) __defProp(to, key, {
			get: ((k) => from[k]).bind(null, key),
			enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable
		});
	}
	return to;
};
var __toESM = (mod, isNodeMode, target) => (target = mod != null ? __create(__getProtoOf(mod)) : {}, __copyProps(isNodeMode || !mod || !mod.__esModule || !__hasOwnProp.call(mod, "default") ? __defProp(target, "default", {
	value: mod,
	enumerable: true
}) : target, mod));
var __require = (() => (0,external_node_module_namespaceObject.createRequire)(import.meta.url))();



/***/ })

/******/ });
/************************************************************************/
/******/ // The module cache
/******/ var __webpack_module_cache__ = {};
/******/ 
/******/ // The require function
/******/ function __nccwpck_require__(moduleId) {
/******/ 	// Check if module is in cache
/******/ 	var cachedModule = __webpack_module_cache__[moduleId];
/******/ 	if (cachedModule !== undefined) {
/******/ 		return cachedModule.exports;
/******/ 	}
/******/ 	// Create a new module (and put it into the cache)
/******/ 	var module = __webpack_module_cache__[moduleId] = {
/******/ 		// no module.id needed
/******/ 		// no module.loaded needed
/******/ 		exports: {}
/******/ 	};
/******/ 
/******/ 	// Execute the module function
/******/ 	var threw = true;
/******/ 	try {
/******/ 		__webpack_modules__[moduleId](module, module.exports, __nccwpck_require__);
/******/ 		threw = false;
/******/ 	} finally {
/******/ 		if(threw) delete __webpack_module_cache__[moduleId];
/******/ 	}
/******/ 
/******/ 	// Return the exports of the module
/******/ 	return module.exports;
/******/ }
/******/ 
/******/ // expose the modules object (__webpack_modules__)
/******/ __nccwpck_require__.m = __webpack_modules__;
/******/ 
/************************************************************************/
/******/ /* webpack/runtime/asset-relocator-loader */
/******/ if (typeof __nccwpck_require__ !== 'undefined') __nccwpck_require__.ab = decodeURIComponent(new URL('.', import.meta.url).pathname).slice(import.meta.url.match(/^file:\/\/\/\w:/) ? 1 : 0, -1) + "/";
/******/ 
/******/ /* webpack/runtime/create fake namespace object */
/******/ (() => {
/******/ 	var getProto = Object.getPrototypeOf ? (obj) => (Object.getPrototypeOf(obj)) : (obj) => (obj.__proto__);
/******/ 	var leafPrototypes;
/******/ 	// create a fake namespace object
/******/ 	// mode & 1: value is a module id, require it
/******/ 	// mode & 2: merge all properties of value into the ns
/******/ 	// mode & 4: return value when already ns object
/******/ 	// mode & 16: return value when it's Promise-like
/******/ 	// mode & 8|1: behave like require
/******/ 	__nccwpck_require__.t = function(value, mode) {
/******/ 		if(mode & 1) value = this(value);
/******/ 		if(mode & 8) return value;
/******/ 		if(typeof value === 'object' && value) {
/******/ 			if((mode & 4) && value.__esModule) return value;
/******/ 			if((mode & 16) && typeof value.then === 'function') return value;
/******/ 		}
/******/ 		var ns = Object.create(null);
/******/ 		__nccwpck_require__.r(ns);
/******/ 		var def = {};
/******/ 		leafPrototypes = leafPrototypes || [null, getProto({}), getProto([]), getProto(getProto)];
/******/ 		for(var current = mode & 2 && value; typeof current == 'object' && !~leafPrototypes.indexOf(current); current = getProto(current)) {
/******/ 			Object.getOwnPropertyNames(current).forEach((key) => (def[key] = () => (value[key])));
/******/ 		}
/******/ 		def['default'] = () => (value);
/******/ 		__nccwpck_require__.d(ns, def);
/******/ 		return ns;
/******/ 	};
/******/ })();
/******/ 
/******/ /* webpack/runtime/define property getters */
/******/ (() => {
/******/ 	// define getter functions for harmony exports
/******/ 	__nccwpck_require__.d = (exports, definition) => {
/******/ 		for(var key in definition) {
/******/ 			if(__nccwpck_require__.o(definition, key) && !__nccwpck_require__.o(exports, key)) {
/******/ 				Object.defineProperty(exports, key, { enumerable: true, get: definition[key] });
/******/ 			}
/******/ 		}
/******/ 	};
/******/ })();
/******/ 
/******/ /* webpack/runtime/ensure chunk */
/******/ (() => {
/******/ 	__nccwpck_require__.f = {};
/******/ 	// This file contains only the entry chunk.
/******/ 	// The chunk loading function for additional chunks
/******/ 	__nccwpck_require__.e = (chunkId) => {
/******/ 		return Promise.all(Object.keys(__nccwpck_require__.f).reduce((promises, key) => {
/******/ 			__nccwpck_require__.f[key](chunkId, promises);
/******/ 			return promises;
/******/ 		}, []));
/******/ 	};
/******/ })();
/******/ 
/******/ /* webpack/runtime/get javascript chunk filename */
/******/ (() => {
/******/ 	// This function allow to reference async chunks
/******/ 	__nccwpck_require__.u = (chunkId) => {
/******/ 		// return url for filenames based on template
/******/ 		return "" + chunkId + ".index.js";
/******/ 	};
/******/ })();
/******/ 
/******/ /* webpack/runtime/hasOwnProperty shorthand */
/******/ (() => {
/******/ 	__nccwpck_require__.o = (obj, prop) => (Object.prototype.hasOwnProperty.call(obj, prop))
/******/ })();
/******/ 
/******/ /* webpack/runtime/make namespace object */
/******/ (() => {
/******/ 	// define __esModule on exports
/******/ 	__nccwpck_require__.r = (exports) => {
/******/ 		if(typeof Symbol !== 'undefined' && Symbol.toStringTag) {
/******/ 			Object.defineProperty(exports, Symbol.toStringTag, { value: 'Module' });
/******/ 		}
/******/ 		Object.defineProperty(exports, '__esModule', { value: true });
/******/ 	};
/******/ })();
/******/ 
/******/ /* webpack/runtime/import chunk loading */
/******/ (() => {
/******/ 	// no baseURI
/******/ 	
/******/ 	// object to store loaded and loading chunks
/******/ 	// undefined = chunk not loaded, null = chunk preloaded/prefetched
/******/ 	// [resolve, Promise] = chunk loading, 0 = chunk loaded
/******/ 	var installedChunks = {
/******/ 		792: 0
/******/ 	};
/******/ 	
/******/ 	var installChunk = (data) => {
/******/ 		var {ids, modules, runtime} = data;
/******/ 		// add "modules" to the modules object,
/******/ 		// then flag all "ids" as loaded and fire callback
/******/ 		var moduleId, chunkId, i = 0;
/******/ 		for(moduleId in modules) {
/******/ 			if(__nccwpck_require__.o(modules, moduleId)) {
/******/ 				__nccwpck_require__.m[moduleId] = modules[moduleId];
/******/ 			}
/******/ 		}
/******/ 		if(runtime) runtime(__nccwpck_require__);
/******/ 		for(;i < ids.length; i++) {
/******/ 			chunkId = ids[i];
/******/ 			if(__nccwpck_require__.o(installedChunks, chunkId) && installedChunks[chunkId]) {
/******/ 				installedChunks[chunkId][0]();
/******/ 			}
/******/ 			installedChunks[ids[i]] = 0;
/******/ 		}
/******/ 	
/******/ 	}
/******/ 	
/******/ 	__nccwpck_require__.f.j = (chunkId, promises) => {
/******/ 			// import() chunk loading for javascript
/******/ 			var installedChunkData = __nccwpck_require__.o(installedChunks, chunkId) ? installedChunks[chunkId] : undefined;
/******/ 			if(installedChunkData !== 0) { // 0 means "already installed".
/******/ 	
/******/ 				// a Promise means "currently loading".
/******/ 				if(installedChunkData) {
/******/ 					promises.push(installedChunkData[1]);
/******/ 				} else {
/******/ 					if(true) { // all chunks have JS
/******/ 						// setup Promise in chunk cache
/******/ 						var promise = import("./" + __nccwpck_require__.u(chunkId)).then(installChunk, (e) => {
/******/ 							if(installedChunks[chunkId] !== 0) installedChunks[chunkId] = undefined;
/******/ 							throw e;
/******/ 						});
/******/ 						var promise = Promise.race([promise, new Promise((resolve) => (installedChunkData = installedChunks[chunkId] = [resolve]))])
/******/ 						promises.push(installedChunkData[1] = promise);
/******/ 					}
/******/ 				}
/******/ 			}
/******/ 	};
/******/ 	
/******/ 	// no prefetching
/******/ 	
/******/ 	// no preloaded
/******/ 	
/******/ 	// no external install chunk
/******/ 	
/******/ 	// no on chunks loaded
/******/ })();
/******/ 
/************************************************************************/
/******/ 
/******/ // startup
/******/ // Load entry module and return exports
/******/ // This entry module is referenced by other modules so it can't be inlined
/******/ var __webpack_exports__ = __nccwpck_require__(430);
/******/ var __webpack_exports__$ = __webpack_exports__.$;
/******/ var __webpack_exports__A = __webpack_exports__.A;
/******/ var __webpack_exports__At = __webpack_exports__.At;
/******/ var __webpack_exports__B = __webpack_exports__.B;
/******/ var __webpack_exports__Bt = __webpack_exports__.Bt;
/******/ var __webpack_exports__C = __webpack_exports__.C;
/******/ var __webpack_exports__Ct = __webpack_exports__.Ct;
/******/ var __webpack_exports__D = __webpack_exports__.D;
/******/ var __webpack_exports__Dt = __webpack_exports__.Dt;
/******/ var __webpack_exports__E = __webpack_exports__.E;
/******/ var __webpack_exports__Et = __webpack_exports__.Et;
/******/ var __webpack_exports__F = __webpack_exports__.F;
/******/ var __webpack_exports__Ft = __webpack_exports__.Ft;
/******/ var __webpack_exports__G = __webpack_exports__.G;
/******/ var __webpack_exports__Gt = __webpack_exports__.Gt;
/******/ var __webpack_exports__H = __webpack_exports__.H;
/******/ var __webpack_exports__Ht = __webpack_exports__.Ht;
/******/ var __webpack_exports__I = __webpack_exports__.I;
/******/ var __webpack_exports__It = __webpack_exports__.It;
/******/ var __webpack_exports__J = __webpack_exports__.J;
/******/ var __webpack_exports__Jt = __webpack_exports__.Jt;
/******/ var __webpack_exports__K = __webpack_exports__.K;
/******/ var __webpack_exports__Kt = __webpack_exports__.Kt;
/******/ var __webpack_exports__L = __webpack_exports__.L;
/******/ var __webpack_exports__Lt = __webpack_exports__.Lt;
/******/ var __webpack_exports__M = __webpack_exports__.M;
/******/ var __webpack_exports__Mt = __webpack_exports__.Mt;
/******/ var __webpack_exports__N = __webpack_exports__.N;
/******/ var __webpack_exports__Nt = __webpack_exports__.Nt;
/******/ var __webpack_exports__O = __webpack_exports__.O;
/******/ var __webpack_exports__Ot = __webpack_exports__.Ot;
/******/ var __webpack_exports__P = __webpack_exports__.P;
/******/ var __webpack_exports__Pt = __webpack_exports__.Pt;
/******/ var __webpack_exports__Q = __webpack_exports__.Q;
/******/ var __webpack_exports__Qt = __webpack_exports__.Qt;
/******/ var __webpack_exports__R = __webpack_exports__.R;
/******/ var __webpack_exports__Rt = __webpack_exports__.Rt;
/******/ var __webpack_exports__S = __webpack_exports__.S;
/******/ var __webpack_exports__St = __webpack_exports__.St;
/******/ var __webpack_exports__T = __webpack_exports__.T;
/******/ var __webpack_exports__Tt = __webpack_exports__.Tt;
/******/ var __webpack_exports__U = __webpack_exports__.U;
/******/ var __webpack_exports__Ut = __webpack_exports__.Ut;
/******/ var __webpack_exports__V = __webpack_exports__.V;
/******/ var __webpack_exports__Vt = __webpack_exports__.Vt;
/******/ var __webpack_exports__W = __webpack_exports__.W;
/******/ var __webpack_exports__Wt = __webpack_exports__.Wt;
/******/ var __webpack_exports__X = __webpack_exports__.X;
/******/ var __webpack_exports__Xt = __webpack_exports__.Xt;
/******/ var __webpack_exports__Y = __webpack_exports__.Y;
/******/ var __webpack_exports__Yt = __webpack_exports__.Yt;
/******/ var __webpack_exports__Z = __webpack_exports__.Z;
/******/ var __webpack_exports__Zt = __webpack_exports__.Zt;
/******/ var __webpack_exports___ = __webpack_exports__._;
/******/ var __webpack_exports___t = __webpack_exports__._t;
/******/ var __webpack_exports__a = __webpack_exports__.a;
/******/ var __webpack_exports__at = __webpack_exports__.at;
/******/ var __webpack_exports__audit = __webpack_exports__.sb;
/******/ var __webpack_exports__b = __webpack_exports__.b;
/******/ var __webpack_exports__bt = __webpack_exports__.bt;
/******/ var __webpack_exports__c = __webpack_exports__.c;
/******/ var __webpack_exports__ct = __webpack_exports__.ct;
/******/ var __webpack_exports__d = __webpack_exports__.d;
/******/ var __webpack_exports__dt = __webpack_exports__.dt;
/******/ var __webpack_exports__et = __webpack_exports__.et;
/******/ var __webpack_exports__f = __webpack_exports__.f;
/******/ var __webpack_exports__ft = __webpack_exports__.ft;
/******/ var __webpack_exports__g = __webpack_exports__.g;
/******/ var __webpack_exports__gt = __webpack_exports__.gt;
/******/ var __webpack_exports__h = __webpack_exports__.h;
/******/ var __webpack_exports__ht = __webpack_exports__.ht;
/******/ var __webpack_exports__i = __webpack_exports__.i;
/******/ var __webpack_exports__it = __webpack_exports__.it;
/******/ var __webpack_exports__j = __webpack_exports__.j;
/******/ var __webpack_exports__jt = __webpack_exports__.jt;
/******/ var __webpack_exports__k = __webpack_exports__.k;
/******/ var __webpack_exports__kt = __webpack_exports__.kt;
/******/ var __webpack_exports__l = __webpack_exports__.l;
/******/ var __webpack_exports__lt = __webpack_exports__.lt;
/******/ var __webpack_exports__m = __webpack_exports__.m;
/******/ var __webpack_exports__mt = __webpack_exports__.mt;
/******/ var __webpack_exports__n = __webpack_exports__.n;
/******/ var __webpack_exports__nt = __webpack_exports__.nt;
/******/ var __webpack_exports__o = __webpack_exports__.o;
/******/ var __webpack_exports__ot = __webpack_exports__.ot;
/******/ var __webpack_exports__p = __webpack_exports__.p;
/******/ var __webpack_exports__post = __webpack_exports__.bE;
/******/ var __webpack_exports__pt = __webpack_exports__.pt;
/******/ var __webpack_exports__q = __webpack_exports__.q;
/******/ var __webpack_exports__qt = __webpack_exports__.qt;
/******/ var __webpack_exports__r = __webpack_exports__.r;
/******/ var __webpack_exports__recall = __webpack_exports__.I9;
/******/ var __webpack_exports__rt = __webpack_exports__.rt;
/******/ var __webpack_exports__s = __webpack_exports__.s;
/******/ var __webpack_exports__share = __webpack_exports__.uM;
/******/ var __webpack_exports__st = __webpack_exports__.st;
/******/ var __webpack_exports__sweep = __webpack_exports__.X0;
/******/ var __webpack_exports__t = __webpack_exports__.t;
/******/ var __webpack_exports__tt = __webpack_exports__.tt;
/******/ var __webpack_exports__u = __webpack_exports__.u;
/******/ var __webpack_exports__ut = __webpack_exports__.ut;
/******/ var __webpack_exports__v = __webpack_exports__.v;
/******/ var __webpack_exports__vt = __webpack_exports__.vt;
/******/ var __webpack_exports__w = __webpack_exports__.w;
/******/ var __webpack_exports__wt = __webpack_exports__.wt;
/******/ var __webpack_exports__x = __webpack_exports__.x;
/******/ var __webpack_exports__xt = __webpack_exports__.xt;
/******/ var __webpack_exports__y = __webpack_exports__.y;
/******/ var __webpack_exports__yt = __webpack_exports__.yt;
/******/ var __webpack_exports__z = __webpack_exports__.z;
/******/ var __webpack_exports__zt = __webpack_exports__.zt;
/******/ export { __webpack_exports__$ as $, __webpack_exports__A as A, __webpack_exports__At as At, __webpack_exports__B as B, __webpack_exports__Bt as Bt, __webpack_exports__C as C, __webpack_exports__Ct as Ct, __webpack_exports__D as D, __webpack_exports__Dt as Dt, __webpack_exports__E as E, __webpack_exports__Et as Et, __webpack_exports__F as F, __webpack_exports__Ft as Ft, __webpack_exports__G as G, __webpack_exports__Gt as Gt, __webpack_exports__H as H, __webpack_exports__Ht as Ht, __webpack_exports__I as I, __webpack_exports__It as It, __webpack_exports__J as J, __webpack_exports__Jt as Jt, __webpack_exports__K as K, __webpack_exports__Kt as Kt, __webpack_exports__L as L, __webpack_exports__Lt as Lt, __webpack_exports__M as M, __webpack_exports__Mt as Mt, __webpack_exports__N as N, __webpack_exports__Nt as Nt, __webpack_exports__O as O, __webpack_exports__Ot as Ot, __webpack_exports__P as P, __webpack_exports__Pt as Pt, __webpack_exports__Q as Q, __webpack_exports__Qt as Qt, __webpack_exports__R as R, __webpack_exports__Rt as Rt, __webpack_exports__S as S, __webpack_exports__St as St, __webpack_exports__T as T, __webpack_exports__Tt as Tt, __webpack_exports__U as U, __webpack_exports__Ut as Ut, __webpack_exports__V as V, __webpack_exports__Vt as Vt, __webpack_exports__W as W, __webpack_exports__Wt as Wt, __webpack_exports__X as X, __webpack_exports__Xt as Xt, __webpack_exports__Y as Y, __webpack_exports__Yt as Yt, __webpack_exports__Z as Z, __webpack_exports__Zt as Zt, __webpack_exports___ as _, __webpack_exports___t as _t, __webpack_exports__a as a, __webpack_exports__at as at, __webpack_exports__audit as audit, __webpack_exports__b as b, __webpack_exports__bt as bt, __webpack_exports__c as c, __webpack_exports__ct as ct, __webpack_exports__d as d, __webpack_exports__dt as dt, __webpack_exports__et as et, __webpack_exports__f as f, __webpack_exports__ft as ft, __webpack_exports__g as g, __webpack_exports__gt as gt, __webpack_exports__h as h, __webpack_exports__ht as ht, __webpack_exports__i as i, __webpack_exports__it as it, __webpack_exports__j as j, __webpack_exports__jt as jt, __webpack_exports__k as k, __webpack_exports__kt as kt, __webpack_exports__l as l, __webpack_exports__lt as lt, __webpack_exports__m as m, __webpack_exports__mt as mt, __webpack_exports__n as n, __webpack_exports__nt as nt, __webpack_exports__o as o, __webpack_exports__ot as ot, __webpack_exports__p as p, __webpack_exports__post as post, __webpack_exports__pt as pt, __webpack_exports__q as q, __webpack_exports__qt as qt, __webpack_exports__r as r, __webpack_exports__recall as recall, __webpack_exports__rt as rt, __webpack_exports__s as s, __webpack_exports__share as share, __webpack_exports__st as st, __webpack_exports__sweep as sweep, __webpack_exports__t as t, __webpack_exports__tt as tt, __webpack_exports__u as u, __webpack_exports__ut as ut, __webpack_exports__v as v, __webpack_exports__vt as vt, __webpack_exports__w as w, __webpack_exports__wt as wt, __webpack_exports__x as x, __webpack_exports__xt as xt, __webpack_exports__y as y, __webpack_exports__yt as yt, __webpack_exports__z as z, __webpack_exports__zt as zt };
/******/ 
