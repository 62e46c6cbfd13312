# The role of a target account for the action recall, in all of its regions: deploy it in one region. Made from policies/ by scripts/templates.mjs; change those, and run it again.

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
  default     = "ami-recall-target"
}

variable "max_session_duration" {
  type        = number
  description = "The maximum session duration in seconds, at least the input 'role-duration-seconds'."
  default     = 3600
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

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
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

resource "aws_iam_role_policy" "target_recall" {
  name = "target-recall"
  role = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "SeeWhatUsesTheImages",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImages",
          "ec2:DescribeSnapshots",
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
        "Sid" : "ReadWhatTheyName",
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
        "Sid" : "ReadWhoMayUseThem",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DescribeImageAttribute",
          "ec2:DescribeSnapshotAttribute",
          "ec2:GetImageAncestry"
        ],
        "Resource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*::snapshot/*"
        ]
      },
      {
        "Sid" : "ReadWhoMayUseTheirKeys",
        "Effect" : "Allow",
        "Action" : "kms:ListGrants",
        "Resource" : "arn:${local.partition}:kms:*:${local.account}:key/*"
      },
      {
        "Sid" : "MarkTheActionsImages",
        "Effect" : "Allow",
        "Action" : [
          "ec2:CreateTags",
          "ec2:DeleteTags"
        ],
        "Resource" : "arn:${local.partition}:ec2:*::image/*",
        "Condition" : {
          "ForAllValues:StringEquals" : {
            "aws:TagKeys" : [
              "share-encrypted-ami:recalled"
            ]
          },
          "Null" : {
            "aws:TagKeys" : "false",
            "aws:ResourceTag/share-encrypted-ami:source-ami" : "false"
          }
        }
      },
      {
        "Sid" : "TakeBackTheActionsImages",
        "Effect" : "Allow",
        "Action" : [
          "ec2:DisableImage",
          "ec2:EnableImage",
          "ec2:EnableImageDeprecation",
          "ec2:DisableImageDeprecation",
          "ec2:DisableImageDeregistrationProtection",
          "ec2:ModifyImageAttribute",
          "ec2:DeregisterImage",
          "ec2:DeleteSnapshot"
        ],
        "Resource" : [
          "arn:${local.partition}:ec2:*::image/*",
          "arn:${local.partition}:ec2:*::snapshot/*"
        ],
        "Condition" : {
          "Null" : {
            "aws:ResourceTag/share-encrypted-ami:source-ami" : "false"
          }
        }
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
        "Resource" : "arn:${local.partition}:ssm:*:${local.account}:parameter/share-encrypted-ami/recalled/*"
      }
    ]
  })
}

resource "aws_iam_role_policy" "target_recall_parameter" {
  count = var.parameter != "" ? 1 : 0
  name  = "target-recall-parameter"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "MoveTheParameter",
        "Effect" : "Allow",
        "Action" : [
          "ssm:GetParameter",
          "ssm:PutParameter",
          "ssm:AddTagsToResource"
        ],
        "Resource" : "arn:${local.partition}:ssm:*:${local.account}:parameter/${var.parameter}"
      }
    ]
  })
}

resource "aws_iam_role_policy" "target_recall_launch_template" {
  count = var.launch_template != "" ? 1 : 0
  name  = "target-recall-launch-template"
  role  = aws_iam_role.this.id
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "MoveTheLaunchTemplate",
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

output "role_arn" {
  description = "For target-role-arn, as arn:aws:iam::{account}:role/…."
  value       = aws_iam_role.this.arn
}
