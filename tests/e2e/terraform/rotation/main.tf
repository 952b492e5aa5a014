# Rotation that cannot be: the function is not there. The provider repeats the refusal for as long as a new permission may take
# to arrive.

variable "endpoint" {
  type = string
}

variable "region" {
  type = string
}

variable "name" {
  type = string
}

provider "aws" {
  region = var.region

  endpoints {
    secretsmanager = var.endpoint
    sts            = var.endpoint
  }
}

resource "aws_secretsmanager_secret" "rotated" {
  name                    = "${var.name}/rotated"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "rotated" {
  secret_id     = aws_secretsmanager_secret.rotated.id
  secret_string = "one"
}

resource "aws_secretsmanager_secret_rotation" "nobody_there" {
  secret_id           = aws_secretsmanager_secret_version.rotated.secret_id
  # Of the account itself: a function of another one must let in whoever asks.
  rotation_lambda_arn = "arn:aws:lambda:${var.region}:${split(":", aws_secretsmanager_secret.rotated.arn)[4]}:function:missing"

  rotation_rules {
    automatically_after_days = 30
  }
}
