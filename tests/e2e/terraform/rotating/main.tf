# A secret that is rotated, with everything that it takes: its first value, the function, its layer and role, and the permission for
# Secrets Manager to invoke it. The second stage changes the rules of the rotation and the code of the function.

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

# Zip files, one for each stage.
variable "packages" {
  type = list(string)
}

variable "layer" {
  type = string
}

provider "aws" {
  region = var.region

  endpoints {
    iam            = var.endpoint
    lambda         = var.endpoint
    secretsmanager = var.endpoint
    sts            = var.endpoint
  }
}

locals {
  package = var.packages[var.stage - 1]
}

resource "aws_iam_role" "rotator" {
  name = "${var.name}-rotator"

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "rotator" {
  name = "rotates"
  role = aws_iam_role.rotator.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = [
          "secretsmanager:DescribeSecret",
          "secretsmanager:GetSecretValue",
          "secretsmanager:PutSecretValue",
          "secretsmanager:UpdateSecretVersionStage",
        ]
        Resource = aws_secretsmanager_secret.rotated.arn
      },
      { Effect = "Allow", Action = "secretsmanager:GetRandomPassword", Resource = "*" },
    ]
  })
}

resource "aws_lambda_layer_version" "boto" {
  layer_name       = "${var.name}-boto"
  filename         = var.layer
  source_code_hash = filebase64sha256(var.layer)
}

resource "aws_lambda_function" "rotator" {
  function_name    = "${var.name}-rotator"
  role             = aws_iam_role.rotator.arn
  runtime          = "python3.11"
  handler          = "index.handler"
  filename         = local.package
  source_code_hash = filebase64sha256(local.package)
  layers           = [aws_lambda_layer_version.boto.arn]
  timeout          = 30
}

resource "aws_lambda_permission" "rotation" {
  statement_id  = "secretsmanager"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.rotator.function_name
  principal     = "secretsmanager.amazonaws.com"
  source_arn    = aws_secretsmanager_secret.rotated.arn
}

resource "aws_secretsmanager_secret" "rotated" {
  name                    = "${var.name}/rotated"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "first" {
  secret_id     = aws_secretsmanager_secret.rotated.id
  secret_string = "the-first-one"

  lifecycle {
    ignore_changes = [secret_string, version_stages]
  }
}

resource "aws_secretsmanager_secret_rotation" "rotated" {
  secret_id           = aws_secretsmanager_secret_version.first.secret_id
  rotation_lambda_arn = aws_lambda_function.rotator.arn

  rotation_rules {
    automatically_after_days = var.stage == 1 ? 30 : null
    schedule_expression      = var.stage == 1 ? null : "rate(10 days)"
    duration                 = var.stage == 1 ? null : "3h"
  }

  depends_on = [aws_lambda_permission.rotation, aws_iam_role_policy.rotator]
}
