# A function with everything that hangs on it: role, layer, log group, permission, an alias of a published version, and another function that
# is told when an event fails. The second stage changes its code, its variables, how long its logs are kept, who may invoke it, and how
# often events are tried.

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

provider "aws" {
  region = var.region

  endpoints {
    iam    = var.endpoint
    lambda = var.endpoint
    logs   = var.endpoint
    sts    = var.endpoint
  }
}

locals {
  package = var.packages[var.stage - 1]
}

resource "aws_iam_role" "app" {
  name = var.name

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

# It tells another function in the name of its role.
resource "aws_iam_role_policy" "tell" {
  name = "tell"
  role = aws_iam_role.app.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "lambda:InvokeFunction", Resource = aws_lambda_function.told.arn }]
  })
}

resource "aws_lambda_function" "told" {
  function_name = "${var.name}-told"
  role          = aws_iam_role.app.arn
  runtime       = "python3.12"
  handler       = "lambda_function.lambda_handler"
  filename      = local.package
}

resource "aws_lambda_function_event_invoke_config" "app" {
  function_name                = aws_lambda_function.app.function_name
  maximum_retry_attempts       = var.stage == 1 ? 0 : 1
  maximum_event_age_in_seconds = var.stage == 1 ? 60 : null

  destination_config {
    on_failure {
      destination = aws_lambda_function.told.arn
    }
  }

  depends_on = [aws_iam_role_policy.tell]
}

resource "aws_cloudwatch_log_group" "app" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.stage == 1 ? 7 : 0
  tags              = var.stage == 1 ? { team = "orders", old = "" } : { team = "billing" }
}

resource "aws_lambda_layer_version" "lib" {
  layer_name          = "${var.name}-lib"
  filename            = local.package
  source_code_hash    = filebase64sha256(local.package)
  compatible_runtimes = ["python3.12"]
}

resource "aws_lambda_function" "app" {
  function_name    = var.name
  role             = aws_iam_role.app.arn
  runtime          = "python3.12"
  handler          = "lambda_function.lambda_handler"
  filename         = local.package
  source_code_hash = filebase64sha256(local.package)
  timeout          = var.stage == 1 ? 10 : 20
  publish          = true
  tags             = var.stage == 1 ? { team = "orders", old = "" } : { team = "billing" }

  layers = [
    aws_lambda_layer_version.lib.arn,
    "arn:aws:lambda:${var.region}:177933569100:layer:AWS-Parameters-and-Secrets-Lambda-Extension:18",
  ]

  environment {
    variables = { STAGE = tostring(var.stage) }
  }
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.app.function_name
  function_version = aws_lambda_function.app.version
}

resource "aws_lambda_permission" "rotation" {
  statement_id  = "stage${var.stage}"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.app.function_name
  principal     = "secretsmanager.amazonaws.com"
}

data "aws_lambda_function" "app" {
  function_name = aws_lambda_function.app.function_name
}

output "found" {
  value = data.aws_lambda_function.app.runtime
}
