# Roles, what they may, and who may take them on.

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = local.first ? [aws_iam_user.ann.arn] : ["arn:aws:iam::${data.aws_caller_identity.me.account_id}:root"]
    }
  }
}

resource "aws_iam_role" "app" {
  name                 = "${var.name}-app"
  description          = local.first ? "runs the orders" : "runs <the> orders & more"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = local.first ? 3600 : 7200
  tags                 = { team = local.first ? "blue" : "green" }
}

resource "aws_iam_role_policy" "app" {
  name   = "own"
  role   = aws_iam_role.app.id
  policy = data.aws_iam_policy_document.read.json
}

resource "aws_iam_role_policy_attachment" "kept" {
  role       = aws_iam_role.app.name
  policy_arn = aws_iam_policy.plain.arn
}

resource "aws_iam_role_policy_attachment" "exchanged" {
  role       = aws_iam_role.app.name
  policy_arn = local.first ? aws_iam_policy.read.arn : data.aws_iam_policy.by_name.arn
}

resource "aws_iam_instance_profile" "app" {
  name = "${var.name}-app"
  role = aws_iam_role.app.name
}

resource "aws_iam_openid_connect_provider" "cluster" {
  url             = "https://issuer.${var.name}.example.com/id/1"
  client_id_list  = local.first ? ["sts.amazonaws.com"] : ["sts.amazonaws.com", "other"]
  thumbprint_list = [local.first ? "0123456789012345678901234567890123456789" : "9876543210987654321098765432109876543210"]
}

data "aws_iam_policy_document" "web" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.cluster.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "issuer.${var.name}.example.com/id/1:sub"
      values   = ["system:serviceaccount:orders:app"]
    }
  }
}

resource "aws_iam_role" "pod" {
  name_prefix        = "${var.name}-pod-"
  path               = "/${var.name}/"
  assume_role_policy = data.aws_iam_policy_document.web.json
}
