# What somebody does with roles: takes on one, and from there another, with a session policy that leaves reading names only.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "region" {
  type = string
}

variable "account" {
  type = string
}

# A prefix for the names of this run.
variable "name" {
  type = string
}

provider "aws" {
  region = var.region

  assume_role {
    role_arn     = "arn:aws:iam::${var.account}:role/${var.name}-deployer"
    session_name = "deploy-42"
  }

  assume_role {
    role_arn     = "arn:aws:iam::${var.account}:role/audit/${var.name}-auditor"
    session_name = "deploy-42"
    duration     = "15m"
    policy = jsonencode({
      Version   = "2012-10-17"
      Statement = [{ Effect = "Allow", Action = ["secretsmanager:Describe*", "secretsmanager:GetResourcePolicy"], Resource = "*" }]
    })
  }

  endpoints {
    iam            = var.endpoint
    secretsmanager = var.endpoint
    sts            = var.endpoint
  }
}

data "aws_caller_identity" "me" {}

data "aws_secretsmanager_secret" "of_team" {
  name = "${var.name}/billing"
}

variable "with_value" {
  type    = bool
  default = false
}

data "aws_secretsmanager_secret_version" "value" {
  count     = var.with_value ? 1 : 0
  secret_id = data.aws_secretsmanager_secret.of_team.id
}

output "me" {
  value = data.aws_caller_identity.me.arn
}

output "secret" {
  value = data.aws_secretsmanager_secret.of_team.arn
}
