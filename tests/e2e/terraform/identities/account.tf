# What the account has once.

resource "aws_iam_account_alias" "alias" {
  account_alias = local.first ? "${var.name}-one" : "${var.name}-two"
}

resource "aws_iam_account_password_policy" "rules" {
  minimum_password_length        = local.first ? 12 : 16
  require_symbols                = true
  allow_users_to_change_password = true
}
