# Users with keys, groups, and which policies go with whom.

resource "aws_iam_user" "ann" {
  name                 = "${var.name}-ann"
  path                 = local.first ? "/" : "/${var.name}/"
  permissions_boundary = aws_iam_policy.plain.arn
  tags                 = { team = local.first ? "blue" : "green" }
}

resource "aws_iam_user" "bob" {
  name = local.first ? "${var.name}-bob" : "${var.name}-robert"
}

resource "aws_iam_access_key" "ann" {
  user   = aws_iam_user.ann.name
  status = local.first ? "Active" : "Inactive"
}

resource "aws_iam_user_policy" "ann" {
  name   = "own"
  user   = aws_iam_user.ann.name
  policy = data.aws_iam_policy_document.read.json
}

resource "aws_iam_user_policy_attachment" "ann" {
  user       = aws_iam_user.ann.name
  policy_arn = local.first ? aws_iam_policy.read.arn : data.aws_iam_policy.by_arn.arn
}

resource "aws_iam_group" "readers" {
  name = local.first ? "${var.name}-readers" : "${var.name}-viewers"
  path = "/${var.name}/"
}

resource "aws_iam_group_policy" "readers" {
  name   = "own"
  group  = aws_iam_group.readers.name
  policy = data.aws_iam_policy_document.read.json
}

resource "aws_iam_group_policy_attachment" "readers" {
  group      = aws_iam_group.readers.name
  policy_arn = aws_iam_policy.read.arn
}

resource "aws_iam_group" "all" {
  name = "${var.name}-all"
}

resource "aws_iam_group_membership" "all" {
  name  = "all"
  group = aws_iam_group.all.name
  users = local.first ? [aws_iam_user.ann.name, aws_iam_user.bob.name] : [aws_iam_user.bob.name]
}

resource "aws_iam_user_group_membership" "ann" {
  user   = aws_iam_user.ann.name
  groups = [aws_iam_group.readers.name]
}
