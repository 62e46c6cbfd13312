# The source account of golden images. Made from policies/ by scripts/templates.mjs; change those, and run it again.

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
  description = "The name of the role."
  default     = "ami-source"
}

variable "max_session_duration" {
  type        = number
  description = "The maximum session duration in seconds, at least the input 'role-duration-seconds'."
  default     = 3600
}

variable "key_alias" {
  type        = string
  description = "The alias of the key, without 'alias/'."
  default     = "cmkSource"
}

variable "oidc_provider" {
  type        = bool
  description = "Create GitHub's OIDC provider. An account has at most one, for all its regions."
  default     = true
}

variable "target_accounts" {
  type        = list(string)
  description = "The accounts with which snapshots may be shared, and to whose roles the key may be granted; empty for any."
  default     = []
}

variable "route_copy" {
  type        = bool
  description = "Allow copying AMIs by CopyImage (input 'route')."
  default     = false
}

variable "key_access_by_policy" {
  type        = bool
  description = "Allow changing the key's policy (input 'source-key-access: policy')."
  default     = false
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

variable "from_instances" {
  type        = bool
  description = "Allow making AMIs of instances (input 'instance-id')."
  default     = false
}

variable "scan_gate" {
  type        = bool
  description = "Allow reading the findings of Amazon Inspector (input 'max-severity')."
  default     = false
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

locals {
  account         = data.aws_caller_identity.this.account_id
  partition       = data.aws_partition.this.partition
  region          = data.aws_region.this.region
  audience        = local.partition == "aws-cn" ? "sts.amazonaws.com.cn" : "sts.amazonaws.com"
  target_accounts = length(var.target_accounts) > 0 ? var.target_accounts : ["*"]
  target_roles    = [for account in local.target_accounts : "arn:*:iam::${account}:role/*"]
}

# An account has one at most.
resource "aws_iam_openid_connect_provider" "github" {
  count          = var.oidc_provider ? 1 : 0
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = [local.audience]
}

resource "aws_kms_key" "this" {
  description         = "Encrypts the copies of golden images that other accounts copy"
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
  name                 = var.role_name
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

resource "aws_iam_role_policy" "source_role" {
  name = "source-role"
  role = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "List",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImages",
          "ec2:DescribeSnapshots"
        ],
        "Resource" : "*"
      },
      {
        "Sid" : "Copy",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImageAttribute",
          "ec2:DescribeSnapshotAttribute",
          "ec2:CopyImage",
          "ec2:CopySnapshot",
          "ec2:DeregisterImage",
          "ec2:DeleteSnapshot"
        ],
        "Resource" : [
          "arn:${local.partition}:ec2:${local.region}::image/*",
          "arn:${local.partition}:ec2:${local.region}::snapshot/*"
        ]
      },
      {
        "Sid" : "ShareWithTheTargets",
        "Effect" : "Allow",
        "Action" : "ec2:ModifySnapshotAttribute",
        "Resource" : "arn:${local.partition}:ec2:${local.region}::snapshot/*",
        "Condition" : {
          "StringLike" : {
            "ec2:Add/userId" : local.target_accounts
          }
        }
      },
      {
        "Sid" : "TakeSharesBack",
        "Effect" : "Allow",
        "Action" : "ec2:ModifySnapshotAttribute",
        "Resource" : "arn:${local.partition}:ec2:${local.region}::snapshot/*",
        "Condition" : {
          "StringLike" : {
            "ec2:Remove/userId" : [
              "*"
            ]
          }
        }
      },
      {
        "Sid" : "MakeNothingPublic",
        "Effect" : "Deny",
        "Action" : "ec2:ModifySnapshotAttribute",
        "Resource" : "arn:${local.partition}:ec2:${local.region}::snapshot/*",
        "Condition" : {
          "StringEquals" : {
            "ec2:Add/group" : "all"
          }
        }
      },
      {
        "Sid" : "TagWhatIsMade",
        "Effect" : "Allow",
        "Action" : "ec2:CreateTags",
        "Resource" : [
          "arn:${local.partition}:ec2:${local.region}::image/*",
          "arn:${local.partition}:ec2:${local.region}::snapshot/*"
        ],
        "Condition" : {
          "StringEquals" : {
            "ec2:CreateAction" : [
              "CopyImage",
              "CopySnapshot"
            ]
          }
        }
      },
      {
        "Sid" : "TagWhatIsShared",
        "Effect" : "Allow",
        "Action" : [
          "ec2:CreateTags",
          "ec2:DeleteTags"
        ],
        "Resource" : [
          "arn:${local.partition}:ec2:${local.region}::image/*",
          "arn:${local.partition}:ec2:${local.region}::snapshot/*"
        ],
        "Condition" : {
          "ForAllValues:StringLike" : {
            "aws:TagKeys" : [
              "share-encrypted-ami:lease:*",
              "share-encrypted-ami:shares:*"
            ]
          },
          "Null" : {
            "aws:TagKeys" : "false"
          }
        }
      },
      {
        "Sid" : "RemoveNothingElse",
        "Effect" : "Deny",
        "Action" : [
          "ec2:DeregisterImage",
          "ec2:DeleteSnapshot"
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
        "Sid" : "UseTheSourceKey",
        "Effect" : "Allow",
        "Action" : [
          "kms:DescribeKey",
          "kms:ListGrants",
          "kms:RevokeGrant",
          "kms:Decrypt",
          "kms:ReEncryptFrom",
          "kms:ReEncryptTo",
          "kms:GenerateDataKeyWithoutPlaintext"
        ],
        "Resource" : aws_kms_key.this.arn
      },
      {
        "Sid" : "LetEc2UseTheSourceKey",
        "Effect" : "Allow",
        "Action" : "kms:CreateGrant",
        "Resource" : aws_kms_key.this.arn,
        "Condition" : {
          "Bool" : {
            "kms:GrantIsForAWSResource" : "true"
          }
        }
      },
      {
        "Sid" : "GrantTheTargetRoles",
        "Effect" : "Allow",
        "Action" : "kms:CreateGrant",
        "Resource" : aws_kms_key.this.arn,
        "Condition" : {
          "StringLike" : {
            "kms:GranteePrincipal" : local.target_roles
          },
          "ForAllValues:StringEquals" : {
            "kms:GrantOperations" : [
              "DescribeKey",
              "Decrypt",
              "ReEncryptFrom",
              "CreateGrant"
            ]
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy" "source_route_copy" {
  count = var.route_copy ? 1 : 0
  name  = "source-route-copy"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "ShareTheImage",
        "Effect" : "Allow",
        "Action" : "ec2:ModifyImageAttribute",
        "Resource" : "arn:${local.partition}:ec2:${local.region}::image/*"
      }
    ]
  })
}

resource "aws_iam_role_policy" "source_key_policy" {
  count = var.key_access_by_policy ? 1 : 0
  name  = "source-key-policy"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "ChangeTheKeyPolicy",
        "Effect" : "Allow",
        "Action" : [
          "kms:GetKeyPolicy",
          "kms:PutKeyPolicy"
        ],
        "Resource" : aws_kms_key.this.arn
      }
    ]
  })
}

resource "aws_iam_role_policy" "source_ssm_parameter" {
  count = var.parameter != "" ? 1 : 0
  name  = "source-ssm-parameter"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "ReadTheParameter",
        "Effect" : "Allow",
        "Action" : "ssm:GetParameter",
        "Resource" : "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter/${var.parameter}"
      }
    ]
  })
}

resource "aws_iam_role_policy" "source_instance" {
  count = var.from_instances ? 1 : 0
  name  = "source-instance"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "ReadInstances",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeInstances",
          "ec2:DescribeVolumes"
        ],
        "Resource" : "*"
      },
      {
        "Sid" : "MakeTheImage",
        "Effect" : "Allow",
        "Action" : "ec2:CreateImage",
        "Resource" : [
          "arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*",
          "arn:${local.partition}:ec2:${local.region}::image/*",
          "arn:${local.partition}:ec2:${local.region}::snapshot/*"
        ]
      },
      {
        "Sid" : "TagTheImage",
        "Effect" : "Allow",
        "Action" : "ec2:CreateTags",
        "Resource" : [
          "arn:${local.partition}:ec2:${local.region}::image/*",
          "arn:${local.partition}:ec2:${local.region}::snapshot/*"
        ],
        "Condition" : {
          "StringEquals" : {
            "ec2:CreateAction" : [
              "CreateImage"
            ]
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy" "source_scan" {
  count = var.scan_gate ? 1 : 0
  name  = "source-scan"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "ReadWhatTheScanFound",
        "Effect" : "Allow",
        "Action" : "ec2:GetImageFindings",
        "Resource" : "*"
      }
    ]
  })
}

output "role_arn" {
  description = "For source-role-arn."
  value       = aws_iam_role.this.arn
}

output "key_arn" {
  description = "For source-kms-key, and source_key_arn of the targets."
  value       = aws_kms_key.this.arn
}
