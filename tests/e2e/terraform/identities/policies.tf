# Managed policies, and what can be read of those that nobody here made.

data "aws_iam_policy_document" "read" {
  statement {
    sid       = "ReadOwn"
    actions   = local.first ? ["secretsmanager:GetSecretValue"] : ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    resources = ["arn:aws:secretsmanager:*:*:secret:$${aws:PrincipalTag/team}/*"]

    condition {
      test     = "StringEquals"
      variable = "secretsmanager:VersionStage"
      values   = ["AWSCURRENT"]
    }
  }
}

resource "aws_iam_policy" "read" {
  name        = "${var.name}-read"
  path        = "/${var.name}/"
  description = "reads secrets = of a team & no other"
  policy      = data.aws_iam_policy_document.read.json
  tags        = local.first ? { team = "blue", old = "" } : { team = "green" }
}

resource "aws_iam_policy" "plain" {
  name   = "${var.name}-plain"
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "secretsmanager:ListSecrets", Resource = "*" }] })
}

data "aws_iam_policy" "by_arn" {
  arn = "arn:aws:iam::aws:policy/SecretsManagerReadWrite"
}

data "aws_iam_policy" "by_name" {
  name = "AWSLambdaBasicExecutionRole"
}

data "aws_iam_policy" "own" {
  name       = aws_iam_policy.read.name
  depends_on = [aws_iam_policy.read]
}

# What does not change by being attached somewhere.
output "policies" {
  value = {
    for name, policy in {
      by_arn  = data.aws_iam_policy.by_arn
      by_name = data.aws_iam_policy.by_name
      own     = data.aws_iam_policy.own
    } : name => { arn = policy.arn, name = policy.name, policy = policy.policy }
  }
}
