# Secrets without a value, and everything about them that can be changed in place.

resource "aws_secretsmanager_secret" "plain" {
  name                    = "${var.name}/plain"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret" "waiting" {
  name                    = "${var.name}/waiting"
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret" "prefixed" {
  name_prefix             = "${var.name}/prefixed-"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret" "described" {
  name                    = "${var.name}/described"
  description             = local.first ? "the orders database" : "“orders”, since moved"
  recovery_window_in_days = 0
  tags                    = local.first ? { team = "orders", old = "" } : { team = "billing", new = "a b+c=d" }
}

resource "aws_secretsmanager_secret" "stripped" {
  name                    = "${var.name}/stripped"
  description             = local.first ? "to be taken away" : ""
  recovery_window_in_days = 0
  tags                    = local.first ? { team = "orders" } : {}
}

resource "aws_secretsmanager_secret" "guarded" {
  name                    = "${var.name}/guarded"
  recovery_window_in_days = 0
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "NobodyDeletesFromThere"
      Effect    = "Deny"
      Principal = { AWS = data.aws_caller_identity.me.account_id }
      Action    = local.first ? ["secretsmanager:DeleteSecret"] : ["secretsmanager:DeleteSecret", "secretsmanager:PutSecretValue"]
      Resource  = "*"
      Condition = { IpAddress = { "aws:SourceIp" = "192.0.2.0/24" } }
    }]
  })
}
