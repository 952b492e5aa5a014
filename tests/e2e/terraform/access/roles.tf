# Roles: one that a person takes on, one that this one takes on, and one for a machine.

data "aws_iam_policy_document" "trust_in_ann" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_user.person["ann"].arn]
    }

    condition {
      test     = "StringLike"
      variable = "sts:RoleSessionName"
      values   = ["deploy-*"]
    }
  }
}

resource "aws_iam_role" "deployer" {
  name                 = "${var.name}-deployer"
  description          = local.first ? "Deploys." : "Deploys, and is trusted with more time."
  assume_role_policy   = data.aws_iam_policy_document.trust_in_ann.json
  max_session_duration = local.first ? 3600 : 7200
  tags                 = local.first ? { team = "orders" } : { team = "orders", purpose = "deploy" }
}

resource "aws_iam_role_policy" "deployer" {
  name = "deploy"
  role = aws_iam_role.deployer.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "sts:AssumeRole", Resource = aws_iam_role.auditor.arn },
    ]
  })
}

# The trust is written by name, because the two roles name each other.
resource "aws_iam_role" "auditor" {
  name = "${var.name}-auditor"
  path = "/audit/"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = data.aws_caller_identity.me.account_id }
      Condition = { ArnEquals = { "aws:PrincipalArn" = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:role/${var.name}-deployer" } }
    }]
  })
}

resource "aws_iam_role_policy" "auditor" {
  name = "look"
  role = aws_iam_role.auditor.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["secretsmanager:*", "kms:DescribeKey"]
      Resource = "*"
    }]
  })
}

data "aws_iam_policy_document" "trust_in_machines" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "machine" {
  name               = "${var.name}-machine"
  assume_role_policy = data.aws_iam_policy_document.trust_in_machines.json
}

resource "aws_iam_role_policy_attachment" "machine" {
  count = local.first ? 1 : 0

  role       = aws_iam_role.machine.name
  policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess"
}

resource "aws_iam_instance_profile" "machine" {
  name = "${var.name}-machine"
  role = aws_iam_role.machine.name
  tags = { team = "orders" }
}

data "aws_iam_role" "deployer" {
  name = aws_iam_role.deployer.name
}

data "aws_iam_instance_profile" "machine" {
  name = aws_iam_instance_profile.machine.name
}

output "found" {
  value = {
    deployer = data.aws_iam_role.deployer.unique_id
    machine  = data.aws_iam_instance_profile.machine.role_id
    ann      = data.aws_iam_user.ann.user_id
  }
}
