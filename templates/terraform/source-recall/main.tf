# The role of the source account for the action recall. Made from policies/ by scripts/templates.mjs; change those, and run it again.

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
  default     = "ami-recall-source"
}

variable "max_session_duration" {
  type        = number
  description = "The maximum session duration in seconds, at least the input 'role-duration-seconds'."
  default     = 3600
}

variable "include_source" {
  type        = bool
  description = "Allow recalling the source AMI itself (input 'include-source')."
  default     = false
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

resource "aws_iam_role_policy" "source_recall" {
  name = "source-recall"
  role = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "FindTheImages",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImages",
          "ec2:DescribeSnapshots"
        ],
        "Resource" : "*"
      },
      {
        "Sid" : "MarkTheSourceImage",
        "Effect" : "Allow",
        "Action" : [
          "ec2:CreateTags",
          "ec2:DeleteTags"
        ],
        "Resource" : "arn:${local.partition}:ec2:${local.region}::image/*",
        "Condition" : {
          "ForAllValues:StringEquals" : {
            "aws:TagKeys" : [
              "share-encrypted-ami:recalled"
            ]
          },
          "Null" : {
            "aws:TagKeys" : "false"
          }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy" "source_recall_include" {
  count = var.include_source ? 1 : 0
  name  = "source-recall-include"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "SeeWhatUsesTheSourceImage",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeInstances",
          "ec2:DescribeLaunchTemplates",
          "ec2:DescribeLaunchTemplateVersions",
          "ec2:DescribeImageReferences",
          "autoscaling:DescribeAutoScalingGroups",
          "autoscaling:DescribeLaunchConfigurations",
          "ssm:DescribeParameters",
          "imagebuilder:ListImageRecipes",
          "imagebuilder:ListContainerRecipes"
        ],
        "Resource" : "*"
      },
      {
        "Sid" : "ReadWhatMayUseTheSourceImage",
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
        "Sid" : "TakeBackTheSourceImage",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImageAttribute",
          "ec2:DisableImage",
          "ec2:EnableImage",
          "ec2:EnableImageDeprecation",
          "ec2:DisableImageDeprecation",
          "ec2:ModifyImageAttribute",
          "ec2:DescribeSnapshotAttribute"
        ],
        "Resource" : [
          "arn:${local.partition}:ec2:${local.region}::image/*",
          "arn:${local.partition}:ec2:${local.region}::snapshot/*"
        ]
      },
      {
        "Sid" : "KeepWhatARestoreTakes",
        "Effect" : "Allow",
        "Action" : [
          "ssm:GetParametersByPath",
          "ssm:PutParameter",
          "ssm:AddTagsToResource",
          "ssm:DeleteParameters"
        ],
        "Resource" : "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter/share-encrypted-ami/recalled/*"
      }
    ]
  })
}

output "role_arn" {
  description = "For source-role-arn."
  value       = aws_iam_role.this.arn
}
