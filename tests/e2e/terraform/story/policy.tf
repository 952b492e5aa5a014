# A policy as a resource of its own.

data "aws_iam_policy_document" "readers" {
  statement {
    sid       = "Readers"
    actions   = local.first ? ["secretsmanager:GetSecretValue"] : ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.me.account_id}:root"]
    }

    condition {
      test     = "StringEquals"
      variable = "secretsmanager:VersionStage"
      values   = ["AWSCURRENT"]
    }
  }
}

resource "aws_secretsmanager_secret" "shared" {
  name                    = "${var.name}/shared"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_policy" "shared" {
  secret_arn          = aws_secretsmanager_secret.shared.arn
  policy              = data.aws_iam_policy_document.readers.json
  block_public_policy = true
}
