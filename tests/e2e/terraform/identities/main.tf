# Who there is and what they may: everything of IAM that a configuration usually holds. The second stage changes what can be changed in
# place, renames what can be renamed, and takes a user out of a group.

terraform {
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

provider "aws" {
  region = var.region

  endpoints {
    iam = var.endpoint
    sts = var.endpoint
  }
}

data "aws_caller_identity" "me" {}
