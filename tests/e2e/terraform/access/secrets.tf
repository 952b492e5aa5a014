# A secret for each team, and one whose own policy lets nobody read it but the first person, the administrator included.

resource "aws_secretsmanager_secret" "of_team" {
  for_each = local.people

  name                    = "${var.name}/${each.value}"
  recovery_window_in_days = 0
  tags                    = { team = each.value }
}

resource "aws_secretsmanager_secret_version" "of_team" {
  for_each = local.people

  secret_id     = aws_secretsmanager_secret.of_team[each.key].id
  secret_string = each.value
}

resource "aws_secretsmanager_secret" "sealed" {
  name                    = "${var.name}/sealed"
  recovery_window_in_days = 0
}

# Terraform reads a version that it owns, so this one is made by somebody else.
resource "aws_secretsmanager_secret_policy" "sealed" {
  secret_arn = aws_secretsmanager_secret.sealed.arn
  policy     = local.first ? data.aws_iam_policy_document.sealed.json : data.aws_iam_policy_document.lifted.json
}

data "aws_iam_policy_document" "sealed" {
  statement {
    sid       = "NobodyElse"
    effect    = "Deny"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "ArnNotEquals"
      variable = "aws:PrincipalArn"
      values   = [aws_iam_user.person["ann"].arn]
    }
  }

  statement {
    sid       = "ByName"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_user.person["ann"].arn]
    }
  }
}

data "aws_iam_policy_document" "lifted" {
  statement {
    sid       = "ByName"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [for person in aws_iam_user.person : person.arn]
    }
  }
}
