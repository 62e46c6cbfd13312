# A target account of golden images, in one of its regions. Made from policies/ by scripts/templates.mjs; change those, and run it again.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

variable "subject" {
  type        = list(string)
  description = "The workflows that may assume the role, as whole 'sub' claims without wildcards: repo:acme/images:ref:refs/heads/main for a branch, repo:acme/images:environment:production for an environment, repo:acme/images:pull_request for pull requests."

  validation {
    condition     = alltrue([for one in var.subject : can(regex("^[^*?]+$", one))])
    error_message = "The variable subject takes whole subjects, without wildcards."
  }
}

variable "role_name" {
  type        = string
  description = "The name of the role, without its region: ami-target makes ami-target-eu-west-1."
  default     = "ami-target"
}

variable "max_session_duration" {
  type        = number
  description = "The maximum session duration in seconds, at least the input 'role-duration-seconds'."
  default     = 3600
}

variable "key_alias" {
  type        = string
  description = "The alias of the key, without 'alias/'."
  default     = "cmkTarget"
}

variable "source_key_arn" {
  type        = string
  description = "The ARN of the source account's key."
}

variable "oidc_provider" {
  type        = bool
  description = "Create GitHub's OIDC provider. An account has at most one, for all its regions."
  default     = false
}

variable "route_copy" {
  type        = bool
  description = "Allow copying AMIs by CopyImage (input 'route')."
  default     = false
}

variable "publish" {
  type        = bool
  description = "Allow publishing AMIs: launch permissions, deprecation, deregistration protection, fast snapshot restore."
  default     = false
}

variable "grant_key_to" {
  type        = list(string)
  description = "The ARNs of the principals to which the key may be granted (input 'grant-key-to'); empty for none."
  default     = []
}

variable "parameter" {
  type        = string
  description = "The SSM parameter with the AMI, without its leading slash; empty for none."
  default     = ""

  validation {
    condition     = can(regex("^([^/].*)?$", var.parameter))
    error_message = "The variable parameter takes the name without its leading slash."
  }
}

variable "launch_template" {
  type        = string
  description = "The ID of the launch template that gets versions with the AMI, or * for any (input 'launch-template'); empty for none."
  default     = ""

  validation {
    condition     = can(regex("^(lt-[0-9a-f]+|\\*)?$", var.launch_template))
    error_message = "The variable launch_template takes the ID of a launch template, or *."
  }
}

variable "boot_test" {
  type        = bool
  description = "Allow launching AMIs to test them (input 'boot-test')."
  default     = false
}

variable "boot_role_arns" {
  type        = list(string)
  description = "The ARNs of the roles in the instance profiles of boot tests (input 'boot-instance-profile'); empty for none."
  default     = []
}

variable "retain" {
  type        = bool
  description = "Allow removing old AMIs (input 'retain')."
  default     = false
}

variable "retain_shared" {
  type        = bool
  description = "Allow asking AWS which accounts use old AMIs that others may launch (input 'retain-shared: by-report')."
  default     = false
}

variable "audit" {
  type        = bool
  description = "Allow reading how AMIs are published (action audit)."
  default     = false
}

variable "instance_types" {
  type        = bool
  description = "Allow setting the instance types that AMIs are limited to."
  default     = false
}

variable "recycle_bin" {
  type        = bool
  description = "Allow restoring an AMI from the Recycle Bin if the one that takes its name fails (input 'on-existing: replace')."
  default     = false
}

variable "hub_key_arns" {
  type        = list(string)
  description = "The ARNs of the hubs' keys (input 'topology: regional-hub'); empty for none."
  default     = []
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  region    = data.aws_region.this.region
  audience  = local.partition == "aws-cn" ? "sts.amazonaws.com.cn" : "sts.amazonaws.com"
}

# An account has one at most.
resource "aws_iam_openid_connect_provider" "github" {
  count          = var.oidc_provider ? 1 : 0
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = [local.audience]
}

resource "aws_kms_key" "this" {
  description         = "Encrypts the golden images of this account and region"
  enable_key_rotation = true
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "LeaveItToIam",
        "Effect" : "Allow",
        "Principal" : {
          "AWS" : "arn:${local.partition}:iam::${local.account}:root"
        },
        "Action" : "kms:*",
        "Resource" : "*"
      }
    ]
  })

  lifecycle {
    # Without its key, no AMI under it can be launched any more.
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.key_alias}"
  target_key_id = aws_kms_key.this.key_id
}

resource "aws_iam_role" "this" {
  # checkov:skip=CKV_AWS_393: It sees no value in the variable. StringEquals knows no wildcard.
  name                 = "${var.role_name}-${local.region}"
  max_session_duration = var.max_session_duration
  assume_role_policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Effect" : "Allow",
        "Principal" : {
          "Federated" : "arn:${local.partition}:iam::${local.account}:oidc-provider/token.actions.githubusercontent.com"
        },
        "Action" : "sts:AssumeRoleWithWebIdentity",
        "Condition" : {
          "StringEquals" : {
            "token.actions.githubusercontent.com:aud" : local.audience,
            "token.actions.githubusercontent.com:sub" : var.subject
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy" "target_role" {
  name = "target-role"
  role = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "List",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImages",
          "ec2:DescribeSnapshots",
          "ec2:DescribeLockedSnapshots",
          "ec2:ListImagesInRecycleBin",
          "ec2:GetEbsEncryptionByDefault",
          "ec2:GetEbsDefaultKmsKeyId",
          "ec2:DescribeRegions"
        ],
        "Resource" : "*"
      },
      {
        "Sid" : "CopyAndRegister",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImageAttribute",
          "ec2:CopySnapshot",
          "ec2:RegisterImage",
          "ec2:DeregisterImage",
          "ec2:DeleteSnapshot"
        ],
        "Resource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*::snapshot/*"
        ]
      },
      {
        "Sid" : "TagWhatIsMade",
        "Effect" : "Allow",
        "Action" : "ec2:CreateTags",
        "Resource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*::snapshot/*"
        ],
        "Condition" : {
          "StringEquals" : {
            "ec2:CreateAction" : [
              "CopySnapshot",
              "RegisterImage"
            ]
          }
        }
      },
      {
        "Sid" : "TagWhatIsBeingMade",
        "Effect" : "Allow",
        "Action" : [
          "ec2:CreateTags",
          "ec2:DeleteTags"
        ],
        "Resource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*::snapshot/*"
        ],
        "Condition" : {
          "ForAllValues:StringLike" : {
            "aws:TagKeys" : [
              "share-encrypted-ami:lease",
              "share-encrypted-ami:replaced-by",
              "share-encrypted-ami:superseded"
            ]
          },
          "Null" : {
            "aws:TagKeys" : "false"
          }
        }
      },
      {
        "Sid" : "TagWhatIsPublished",
        "Effect" : "Allow",
        "Action" : "ec2:CreateTags",
        "Resource" : "arn:${local.partition}:ec2:*::image/*",
        "Condition" : {
          "ForAllValues:StringLike" : {
            "aws:TagKeys" : [
              "share-encrypted-ami:published",
              "share-encrypted-ami:protection"
            ]
          },
          "Null" : {
            "aws:TagKeys" : "false"
          }
        }
      },
      {
        "Sid" : "TouchNothingElse",
        "Effect" : "Deny",
        "Action" : [
          "ec2:DeregisterImage",
          "ec2:DeleteSnapshot",
          "ec2:ModifyImageAttribute",
          "ec2:ReplaceImageInstanceTypeSpecification",
          "ec2:EnableImageDeprecation",
          "ec2:EnableImageDeregistrationProtection",
          "ec2:DisableImageDeregistrationProtection",
          "ec2:EnableFastSnapshotRestores"
        ],
        "NotResource" : [
          "arn:${local.partition}:ec2:*::image/ami-0ffffffffffffffff",
          "arn:${local.partition}:ec2:*::snapshot/snap-0ffffffffffffffff"
        ],
        "Condition" : {
          "Null" : {
            "aws:ResourceTag/share-encrypted-ami:source-ami" : "true",
            "aws:ResourceTag/share-encrypted-ami:source-instance" : "true"
          }
        }
      },
      {
        "Sid" : "RegisterNothingElse",
        "Effect" : "Deny",
        "Action" : "ec2:RegisterImage",
        "NotResource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*::snapshot/snap-0ffffffffffffffff"
        ],
        "Condition" : {
          "Null" : {
            "aws:ResourceTag/share-encrypted-ami:source-ami" : "true",
            "aws:ResourceTag/share-encrypted-ami:source-instance" : "true"
          }
        }
      },
      {
        "Sid" : "UseTheTargetKey",
        "Effect" : "Allow",
        "Action" : [
          "kms:DescribeKey",
          "kms:Decrypt",
          "kms:ReEncryptFrom",
          "kms:ReEncryptTo",
          "kms:GenerateDataKeyWithoutPlaintext"
        ],
        "Resource" : aws_kms_key.this.arn
      },
      {
        "Sid" : "UseTheSourceKey",
        "Effect" : "Allow",
        "Action" : [
          "kms:DescribeKey",
          "kms:Decrypt",
          "kms:ReEncryptFrom"
        ],
        "Resource" : var.source_key_arn
      },
      {
        "Sid" : "LetEc2UseTheKeys",
        "Effect" : "Allow",
        "Action" : "kms:CreateGrant",
        "Resource" : [
          aws_kms_key.this.arn,
          var.source_key_arn
        ],
        "Condition" : {
          "Bool" : {
            "kms:GrantIsForAWSResource" : "true"
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy" "target_route_copy" {
  count = var.route_copy ? 1 : 0
  name  = "target-route-copy"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "SeeAllowedImages",
        "Effect" : "Allow",
        "Action" : "ec2:GetAllowedImagesSettings",
        "Resource" : "*"
      },
      {
        "Sid" : "SeeWhatImagesComeFrom",
        "Effect" : "Allow",
        "Action" : "ec2:GetImageAncestry",
        "Resource" : "arn:${local.partition}:ec2:*::image/*"
      },
      {
        "Sid" : "CopyTheImage",
        "Effect" : "Allow",
        "Action" : "ec2:CopyImage",
        "Resource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*::snapshot/*"
        ]
      },
      {
        "Sid" : "RequireImdsV2",
        "Effect" : "Allow",
        "Action" : "ec2:ModifyImageAttribute",
        "Resource" : "arn:${local.partition}:ec2:*::image/*"
      },
      {
        "Sid" : "TagTheCopies",
        "Effect" : "Allow",
        "Action" : "ec2:CreateTags",
        "Resource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*::snapshot/*"
        ]
      },
      {
        "Sid" : "MarkNothingElse",
        "Effect" : "Deny",
        "Action" : "ec2:CreateTags",
        "NotResource" : "arn:${local.partition}:ec2:*::snapshot/snap-0ffffffffffffffff",
        "Condition" : {
          "Null" : {
            "ec2:CreateAction" : "true",
            "aws:ResourceTag/share-encrypted-ami:source-ami" : "true"
          },
          "ForAnyValue:StringEquals" : {
            "aws:TagKeys" : [
              "share-encrypted-ami:source-ami",
              "share-encrypted-ami:source-instance"
            ]
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy" "target_publish" {
  count = var.publish ? 1 : 0
  name  = "target-publish"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "ReadZones",
        "Effect" : "Allow",
        "Action" : "ec2:DescribeAvailabilityZones",
        "Resource" : "*"
      },
      {
        "Sid" : "Publish",
        "Effect" : "Allow",
        "Action" : [
          "ec2:ModifyImageAttribute",
          "ec2:EnableImageDeprecation",
          "ec2:EnableImageDeregistrationProtection",
          "ec2:EnableFastSnapshotRestores"
        ],
        "Resource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*::snapshot/*"
        ]
      },
      {
        "Sid" : "ReadWhoMayUseTheTargetKey",
        "Effect" : "Allow",
        "Action" : [
          "kms:GetKeyPolicy",
          "kms:ListGrants"
        ],
        "Resource" : aws_kms_key.this.arn
      }
    ]
  })
}

resource "aws_iam_policy" "target_grant_key" {
  count = length(var.grant_key_to) > 0 ? 1 : 0
  name  = "${aws_iam_role.this.name}-target-grant-key"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "GrantTheTargetKey",
        "Effect" : "Allow",
        "Action" : "kms:CreateGrant",
        "Resource" : aws_kms_key.this.arn,
        "Condition" : {
          "StringLike" : {
            "kms:GranteePrincipal" : var.grant_key_to
          },
          "ForAllValues:StringEquals" : {
            "kms:GrantOperations" : [
              "Encrypt",
              "Decrypt",
              "ReEncryptFrom",
              "ReEncryptTo",
              "GenerateDataKey",
              "GenerateDataKeyWithoutPlaintext",
              "DescribeKey",
              "CreateGrant"
            ]
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy_attachment" "target_grant_key" {
  count      = length(aws_iam_policy.target_grant_key)
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.target_grant_key[count.index].arn
}

resource "aws_iam_role_policy" "target_ssm_parameter" {
  count = var.parameter != "" ? 1 : 0
  name  = "target-ssm-parameter"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "SetTheParameter",
        "Effect" : "Allow",
        "Action" : [
          "ssm:GetParameter",
          "ssm:GetParameterHistory",
          "ssm:PutParameter",
          "ssm:AddTagsToResource",
          "ssm:DeleteParameter"
        ],
        "Resource" : "arn:${local.partition}:ssm:*:${local.account}:parameter/${var.parameter}"
      }
    ]
  })
}

resource "aws_iam_role_policy" "target_launch_template" {
  count = var.launch_template != "" ? 1 : 0
  name  = "target-launch-template"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "SeeTheLaunchTemplate",
        "Effect" : "Allow",
        "Action" : "ec2:DescribeLaunchTemplateVersions",
        "Resource" : "*"
      },
      {
        "Sid" : "MakeVersions",
        "Effect" : "Allow",
        "Action" : [
          "ec2:CreateLaunchTemplateVersion",
          "ec2:ModifyLaunchTemplate",
          "ec2:DeleteLaunchTemplateVersions"
        ],
        "Resource" : "arn:${local.partition}:ec2:*:${local.account}:launch-template/${var.launch_template}"
      }
    ]
  })
}

resource "aws_iam_policy" "target_boot_test" {
  count = var.boot_test ? 1 : 0
  name  = "${aws_iam_role.this.name}-target-boot-test"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "SeeWhereAndWhetherItBoots",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeSubnets",
          "ec2:DescribeSecurityGroups",
          "ec2:DescribeInstanceTypes",
          "ec2:DescribeInstanceTypeOfferings",
          "ec2:DescribeInstances",
          "ec2:DescribeInstanceStatus",
          "ssm:DescribeInstanceInformation"
        ],
        "Resource" : "*"
      },
      {
        "Sid" : "LaunchAndEnd",
        "Effect" : "Allow",
        "Action" : [
          "ec2:RunInstances",
          "ec2:TerminateInstances",
          "ec2:GetConsoleOutput",
          "ec2:GetConsoleScreenshot",
          "iam:GetInstanceProfile"
        ],
        "Resource" : [
          "arn:${local.partition}:iam::${local.account}:instance-profile/*",
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*:${local.account}:instance/*",
          "arn:${local.partition}:ec2:*:${local.account}:volume/*",
          "arn:${local.partition}:ec2:*:${local.account}:network-interface/*",
          "arn:${local.partition}:ec2:*:*:subnet/*",
          "arn:${local.partition}:ec2:*:*:security-group/*"
        ]
      },
      {
        "Sid" : "TagWhatIsLaunched",
        "Effect" : "Allow",
        "Action" : "ec2:CreateTags",
        "Resource" : [
          "arn:${local.partition}:ec2:*:${local.account}:instance/*",
          "arn:${local.partition}:ec2:*:${local.account}:volume/*",
          "arn:${local.partition}:ec2:*:${local.account}:network-interface/*"
        ],
        "Condition" : {
          "StringEquals" : {
            "ec2:CreateAction" : "RunInstances"
          }
        }
      },
      {
        "Sid" : "TagWhatTheTestHasShown",
        "Effect" : "Allow",
        "Action" : "ec2:CreateTags",
        "Resource" : "arn:${local.partition}:ec2:*::image/*",
        "Condition" : {
          "ForAllValues:StringEquals" : {
            "aws:TagKeys" : "share-encrypted-ami:boot-test"
          },
          "Null" : {
            "aws:TagKeys" : "false"
          }
        }
      },
      {
        "Sid" : "LaunchNothingElse",
        "Effect" : "Deny",
        "Action" : "ec2:RunInstances",
        "NotResource" : [
          "arn:${local.partition}:ec2:*::image/ami-0ffffffffffffffff",
          "arn:${local.partition}:ec2:*:${local.account}:*",
          "arn:${local.partition}:ec2:*:*:subnet/*",
          "arn:${local.partition}:ec2:*:*:security-group/*"
        ],
        "Condition" : {
          "Null" : {
            "aws:ResourceTag/share-encrypted-ami:source-ami" : "true"
          }
        }
      },
      {
        "Sid" : "EndNothingElse",
        "Effect" : "Deny",
        "Action" : [
          "ec2:TerminateInstances",
          "ec2:GetConsoleOutput",
          "ec2:GetConsoleScreenshot"
        ],
        "NotResource" : "arn:${local.partition}:ec2:*:*:instance/i-0ffffffffffffffff",
        "Condition" : {
          "Null" : {
            "aws:ResourceTag/share-encrypted-ami:source-ami" : "true"
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy_attachment" "target_boot_test" {
  count      = length(aws_iam_policy.target_boot_test)
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.target_boot_test[count.index].arn
}

resource "aws_iam_policy" "target_boot_role" {
  count = length(var.boot_role_arns) > 0 ? 1 : 0
  name  = "${aws_iam_role.this.name}-target-boot-role"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "LaunchWithTheProfile",
        "Effect" : "Allow",
        "Action" : "iam:PassRole",
        "Resource" : var.boot_role_arns,
        "Condition" : {
          "StringLike" : {
            "iam:PassedToService" : [
              "ec2.amazonaws.com*"
            ]
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy_attachment" "target_boot_role" {
  count      = length(aws_iam_policy.target_boot_role)
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.target_boot_role[count.index].arn
}

resource "aws_iam_policy" "target_retain" {
  count = var.retain ? 1 : 0
  name  = "${aws_iam_role.this.name}-target-retain"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "SeeWhatUsesAnImage",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeInstances",
          "ec2:DescribeLaunchTemplates",
          "ec2:DescribeLaunchTemplateVersions",
          "ec2:DescribeImageReferences",
          "ec2:DescribeImageUsageReports",
          "ec2:DescribeImageUsageReportEntries",
          "autoscaling:DescribeAutoScalingGroups",
          "autoscaling:DescribeLaunchConfigurations",
          "ssm:DescribeParameters",
          "imagebuilder:ListImageRecipes",
          "imagebuilder:ListContainerRecipes"
        ],
        "Resource" : "*"
      },
      {
        "Sid" : "ReadWhatMayUseAnImage",
        "Effect" : "Allow",
        "Action" : [
          "ssm:GetParameters",
          "imagebuilder:GetImageRecipe",
          "imagebuilder:GetContainerRecipe"
        ],
        "Resource" : [
          "arn:${local.partition}:ssm:*:${local.account}:parameter/*",
          "arn:${local.partition}:imagebuilder:*:${local.account}:image-recipe/*",
          "arn:${local.partition}:imagebuilder:*:${local.account}:container-recipe/*"
        ]
      },
      {
        "Sid" : "LiftTheProtection",
        "Effect" : "Allow",
        "Action" : "ec2:DisableImageDeregistrationProtection",
        "Resource" : "arn:${local.partition}:ec2:*::image/*"
      }
    ]
  })
}

resource "aws_iam_role_policy_attachment" "target_retain" {
  count      = length(aws_iam_policy.target_retain)
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.target_retain[count.index].arn
}

resource "aws_iam_role_policy" "target_retain_shared" {
  count = var.retain_shared ? 1 : 0
  name  = "target-retain-shared"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "AskWhoUsesAnImage",
        "Effect" : "Allow",
        "Action" : "ec2:CreateImageUsageReport",
        "Resource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*:${local.account}:image-usage-report/*"
        ]
      },
      {
        "Sid" : "TagTheReport",
        "Effect" : "Allow",
        "Action" : "ec2:CreateTags",
        "Resource" : "arn:${local.partition}:ec2:*:${local.account}:image-usage-report/*",
        "Condition" : {
          "StringEquals" : {
            "ec2:CreateAction" : "CreateImageUsageReport"
          }
        }
      },
      {
        "Sid" : "DeleteTheReport",
        "Effect" : "Allow",
        "Action" : "ec2:DeleteImageUsageReport",
        "Resource" : "arn:${local.partition}:ec2:*:${local.account}:image-usage-report/*"
      }
    ]
  })
}

resource "aws_iam_policy" "target_audit" {
  count = var.audit ? 1 : 0
  name  = "${aws_iam_role.this.name}-target-audit"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "ReadWhatIsThere",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImages",
          "ec2:DescribeSnapshots",
          "ec2:DescribeInstances",
          "ec2:DescribeFastSnapshotRestores",
          "ec2:DescribeLaunchTemplateVersions",
          "ec2:DescribeAvailabilityZones",
          "ec2:DescribeRegions"
        ],
        "Resource" : "*"
      },
      {
        "Sid" : "ReadTheImage",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImageAttribute",
          "ec2:GetImageAncestry"
        ],
        "Resource" : "arn:${local.partition}:ec2:*::image/*"
      },
      {
        "Sid" : "ReadTheTargetKey",
        "Effect" : "Allow",
        "Action" : [
          "kms:DescribeKey",
          "kms:ListGrants"
        ],
        "Resource" : aws_kms_key.this.arn
      },
      {
        "Sid" : "ReadTheParameter",
        "Effect" : "Allow",
        "Action" : "ssm:GetParameter",
        "Resource" : "arn:${local.partition}:ssm:*:${local.account}:parameter/${var.parameter}"
      }
    ]
  })
}

resource "aws_iam_role_policy_attachment" "target_audit" {
  count      = length(aws_iam_policy.target_audit)
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.target_audit[count.index].arn
}

resource "aws_iam_role_policy" "target_instance_types" {
  count = var.instance_types ? 1 : 0
  name  = "target-instance-types"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "SetTheInstanceTypes",
        "Effect" : "Allow",
        "Action" : "ec2:ReplaceImageInstanceTypeSpecification",
        "Resource" : "arn:${local.partition}:ec2:*::image/*"
      }
    ]
  })
}

resource "aws_iam_role_policy" "target_recycle_bin" {
  count = var.recycle_bin ? 1 : 0
  name  = "target-recycle-bin"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "RestoreFromTheRecycleBin",
        "Effect" : "Allow",
        "Action" : "ec2:RestoreImageFromRecycleBin",
        "Resource" : "arn:${local.partition}:ec2:*::image/*"
      }
    ]
  })
}

resource "aws_iam_policy" "target_regional_hub" {
  count = length(var.hub_key_arns) > 0 ? 1 : 0
  name  = "${aws_iam_role.this.name}-target-regional-hub"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "UseTheHubKeys",
        "Effect" : "Allow",
        "Action" : [
          "kms:DescribeKey",
          "kms:Decrypt",
          "kms:ReEncryptFrom"
        ],
        "Resource" : var.hub_key_arns
      },
      {
        "Sid" : "LetEc2UseTheHubKeys",
        "Effect" : "Allow",
        "Action" : "kms:CreateGrant",
        "Resource" : var.hub_key_arns,
        "Condition" : {
          "Bool" : {
            "kms:GrantIsForAWSResource" : "true"
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy_attachment" "target_regional_hub" {
  count      = length(aws_iam_policy.target_regional_hub)
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.target_regional_hub[count.index].arn
}

output "role_arn" {
  description = "For target-role-arn, such as arn:aws:iam::{account}:role/ami-target-{region}."
  value       = aws_iam_role.this.arn
}

output "key_arn" {
  description = "The key of the target AMIs."
  value       = aws_kms_key.this.arn
}
