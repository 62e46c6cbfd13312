# Denies the action's tags to everybody except its roles: a service control policy in an organization's management account, elsewhere a policy to attach to people and roles. Made from policies/ by scripts/templates.mjs; change those, and run it again.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

variable "source_account" {
  type        = string
  description = "The source account."
}

variable "source_role_name" {
  type        = string
  description = "The name of the role in the source account."
  default     = "ami-source"
}

variable "target_role_name" {
  type        = string
  description = "The name of the roles in the target accounts, without their regions."
  default     = "ami-target"
}

variable "source_recall_role_name" {
  type        = string
  description = "The name of the recall role in the source account."
  default     = "ami-recall-source"
}

variable "target_recall_role_name" {
  type        = string
  description = "The name of the recall roles in the target accounts."
  default     = "ami-recall-target"
}

variable "target_ids" {
  type        = list(string)
  description = "The organizational units, accounts or root that the service control policy is attached to; empty for a policy of this account."
  default     = []
}

data "aws_partition" "this" {}

locals {
  partition = data.aws_partition.this.partition
  policy = jsonencode({
    "Version" : "2012-10-17",
    "Statement" : [
      {
        "Sid" : "LeaveTheTagsToTheAction",
        "Effect" : "Deny",
        "Action" : [
          "ec2:CreateTags",
          "ec2:DeleteTags"
        ],
        "Resource" : "*",
        "Condition" : {
          "ForAnyValue:StringLike" : {
            "aws:TagKeys" : [
              "share-encrypted-ami:*"
            ]
          },
          "ArnNotLike" : {
            "aws:PrincipalArn" : [
              "arn:${local.partition}:iam::${var.source_account}:role/${var.source_role_name}",
              "arn:${local.partition}:iam::*:role/${var.target_role_name}-*",
              "arn:${local.partition}:iam::${var.source_account}:role/${var.source_recall_role_name}",
              "arn:${local.partition}:iam::*:role/${var.target_recall_role_name}"
            ]
          }
        }
      },
      {
        "Sid" : "KeepTheTagsOfTheAction",
        "Effect" : "Deny",
        "Action" : [
          "ec2:DeleteTags"
        ],
        "Resource" : "*",
        "Condition" : {
          "Null" : {
            "aws:TagKeys" : "true",
            "aws:ResourceTag/share-encrypted-ami:source-ami" : "false"
          },
          "ArnNotLike" : {
            "aws:PrincipalArn" : [
              "arn:${local.partition}:iam::${var.source_account}:role/${var.source_role_name}",
              "arn:${local.partition}:iam::*:role/${var.target_role_name}-*"
            ]
          }
        }
      }
    ]
  })
}

resource "aws_organizations_policy" "this" {
  count   = length(var.target_ids) > 0 ? 1 : 0
  name    = "share-encrypted-ami-tags"
  type    = "SERVICE_CONTROL_POLICY"
  content = local.policy
}

resource "aws_organizations_policy_attachment" "this" {
  for_each  = toset(var.target_ids)
  policy_id = aws_organizations_policy.this[0].id
  target_id = each.value
}

resource "aws_iam_policy" "this" {
  count  = length(var.target_ids) > 0 ? 0 : 1
  name   = "share-encrypted-ami-tags"
  policy = local.policy
}

output "policy_arn" {
  description = "The policy to attach, or to make a part of permissions boundaries."
  value       = one(aws_iam_policy.this[*].arn)
}
