# What every file here shares: the provider, pointed at one server for each service that it may ask. Credentials come
# from the environment. No check is switched off: the provider asks STS who it is, as it would ask AWS.

terraform {
  # Write-only arguments are new in 1.11, and in this provider.
  required_version = ">= 1.11"
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

# A prefix for the names of this run.
variable "name" {
  type = string
}

# The first configuration is 1, the changed one is 2.
variable "stage" {
  type = number
}

locals {
  first = var.stage == 1
}

data "aws_caller_identity" "me" {}

provider "aws" {
  region = var.region

  endpoints {
    iam            = var.endpoint
    kms            = var.endpoint
    secretsmanager = var.endpoint
    sts            = var.endpoint
  }
}

output "account" {
  value = data.aws_caller_identity.me.account_id
}
