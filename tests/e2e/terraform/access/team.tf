# A team: its people, each with a key, and one policy that knows the team from the tag of whoever calls.

locals {
  people = { ann = "orders", bob = "billing" }
}

data "aws_iam_policy_document" "team" {
  statement {
    sid       = "ReadWhatIsOurs"
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret", "secretsmanager:TagResource"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/team"
      # Terraform writes its own variables like those of policies, so the latter have an ampersand there.
      values = ["&{aws:PrincipalTag/team}"]
    }
  }

  statement {
    sid       = "MakeForUs"
    actions   = ["secretsmanager:CreateSecret"]
    resources = local.first ? ["*"] : ["arn:aws:secretsmanager:*:*:secret:${var.name}/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/team"
      values   = ["&{aws:PrincipalTag/team}"]
    }
  }
}

resource "aws_iam_user" "person" {
  for_each = local.people

  name = "${var.name}-${each.key}"
  path = local.first ? "/" : "/people/"
  tags = { team = each.value }
}

resource "aws_iam_access_key" "person" {
  for_each = local.people

  user   = aws_iam_user.person[each.key].name
  status = local.first || each.key == "ann" ? "Active" : "Inactive"
}

resource "aws_iam_user_policy" "team" {
  for_each = local.people

  name   = "team"
  user   = aws_iam_user.person[each.key].name
  policy = data.aws_iam_policy_document.team.json
}

data "aws_iam_user" "ann" {
  user_name = aws_iam_user.person["ann"].name
}

output "keys" {
  sensitive = true
  value     = { for name, key in aws_iam_access_key.person : name => { access_key_id = key.id, secret_access_key = key.secret } }
}
