# A secret whose password a rotator that comes along changes: nothing is uploaded, and nothing has to be permitted to invoke it. The second
# stage changes the rules of the rotation.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "region" {
  type = string
}

variable "name" {
  type = string
}

variable "stage" {
  type = number
}

# What the secret says at first.
variable "database" {
  type      = string
  sensitive = true
}

provider "aws" {
  region = var.region

  endpoints {
    secretsmanager = var.endpoint
    sts            = var.endpoint
  }
}

data "aws_caller_identity" "current" {}

resource "aws_secretsmanager_secret" "rotated" {
  name                    = var.name
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "first" {
  secret_id     = aws_secretsmanager_secret.rotated.id
  secret_string = var.database

  lifecycle {
    ignore_changes = [secret_string, version_stages]
  }
}

resource "aws_secretsmanager_secret_rotation" "rotated" {
  secret_id           = aws_secretsmanager_secret_version.first.secret_id
  rotation_lambda_arn = "arn:aws:lambda:${var.region}:${data.aws_caller_identity.current.account_id}:function:coffer-builtin-postgres-single-user"

  rotation_rules {
    automatically_after_days = var.stage == 1 ? 30 : null
    schedule_expression      = var.stage == 1 ? null : "rate(10 days)"
    duration                 = var.stage == 1 ? null : "3h"
  }
}
