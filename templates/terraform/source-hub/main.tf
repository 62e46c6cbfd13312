# A hub: a region to which the source account copies once, for all targets there (input 'topology: regional-hub'). Made from policies/ by scripts/templates.mjs; change those, and run it again.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

variable "source_role_name" {
  type        = string
  description = "The name of the role in the source account."
  default     = "ami-source"
}

variable "key_alias" {
  type        = string
  description = "The alias of the key, without 'alias/'."
  default     = "cmkSource"
}

variable "target_accounts" {
  type        = list(string)
  description = "The accounts with which snapshots may be shared, and to whose roles the key may be granted; empty for any."
  default     = []
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

locals {
  account         = data.aws_caller_identity.this.account_id
  partition       = data.aws_partition.this.partition
  region          = data.aws_region.this.region
  target_accounts = length(var.target_accounts) > 0 ? var.target_accounts : ["*"]
  target_roles    = [for account in local.target_accounts : "arn:*:iam::${account}:role/*"]
}

resource "aws_kms_key" "this" {
  description         = "Encrypts the copies of golden images in this region that other accounts copy"
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

# Inline, there would be room for two hubs beside the role's own policies.
resource "aws_iam_policy" "this" {
  name = "${var.source_role_name}-hub-${local.region}"
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "CopyInTheHubs",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImageAttribute",
          "ec2:DescribeSnapshotAttribute",
          "ec2:CopyImage",
          "ec2:DeregisterImage",
          "ec2:DeleteSnapshot"
        ],
        "Resource" : [
          "arn:${local.partition}:ec2:${local.region}::image/*",
          "arn:${local.partition}:ec2:${local.region}::snapshot/*"
        ]
      },
      {
        "Sid" : "ShareFromTheHubs",
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
        "Sid" : "TakeSharesBackInTheHubs",
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
        "Sid" : "MakeNothingPublicInTheHubs",
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
        "Sid" : "ShareTheImagesOfTheHubs",
        "Effect" : "Allow",
        "Action" : "ec2:ModifyImageAttribute",
        "Resource" : "arn:${local.partition}:ec2:${local.region}::image/*",
        "Condition" : {
          "Null" : {
            "aws:ResourceTag/share-encrypted-ami:source-ami" : "false"
          }
        }
      },
      {
        "Sid" : "AskWhetherToShare",
        "Effect" : "Allow",
        "Action" : "ec2:ModifyImageAttribute",
        "Resource" : "arn:${local.partition}:ec2:${local.region}::image/ami-0ffffffffffffffff"
      },
      {
        "Sid" : "TagWhatIsMadeInTheHubs",
        "Effect" : "Allow",
        "Action" : "ec2:CreateTags",
        "Resource" : [
          "arn:${local.partition}:ec2:${local.region}::image/*",
          "arn:${local.partition}:ec2:${local.region}::snapshot/*"
        ],
        "Condition" : {
          "StringEquals" : {
            "ec2:CreateAction" : [
              "CopyImage"
            ]
          }
        }
      },
      {
        "Sid" : "TagWhatIsSharedFromTheHubs",
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
              "share-encrypted-ami:shares:*"
            ]
          },
          "Null" : {
            "aws:TagKeys" : "false"
          }
        }
      },
      {
        "Sid" : "UseTheHubKeys",
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
        "Sid" : "LetEc2UseTheHubKeys",
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
        "Sid" : "GrantTheHubKeys",
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

resource "aws_iam_role_policy_attachment" "this" {
  role       = var.source_role_name
  policy_arn = aws_iam_policy.this.arn
}

output "key_arn" {
  description = "For hub_key_arns of the targets."
  value       = aws_kms_key.this.arn
}
