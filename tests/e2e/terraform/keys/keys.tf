# Keys of one's own: with a policy, with an alias, for codes and for signatures, and one whose material comes from outside.
# The second stage changes what can be changed in place, and lets the alias stand for another key.

# When the material that came from outside is to be forgotten: at most a year from now.
variable "forgotten_at" {
  type = string
}

locals {
  root = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:root"
}

data "aws_iam_policy_document" "orders" {
  statement {
    sid       = "Administration"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [local.root]
    }
  }

  dynamic "statement" {
    for_each = local.first ? [] : [1]

    content {
      sid       = "NobodyElse"
      effect    = "Deny"
      actions   = ["kms:Decrypt"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = ["*"]
      }

      condition {
        test     = "StringNotEquals"
        variable = "kms:CallerAccount"
        values   = [data.aws_caller_identity.me.account_id]
      }
    }
  }
}

resource "aws_kms_key" "orders" {
  description             = local.first ? "of the orders" : "of the orders, since moved"
  policy                  = data.aws_iam_policy_document.orders.json
  enable_key_rotation     = true
  rotation_period_in_days = local.first ? 90 : 180
  deletion_window_in_days = 7
  tags                    = local.first ? { team = "orders", old = "" } : { team = "billing" }
}

resource "aws_kms_key" "plain" {
  is_enabled              = local.first
  deletion_window_in_days = 7
}

resource "aws_kms_key" "codes" {
  customer_master_key_spec = "HMAC_256"
  key_usage                = "GENERATE_VERIFY_MAC"
  deletion_window_in_days  = 7
}

resource "aws_kms_key" "signatures" {
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = 7
}

# A policy as a resource of its own.
resource "aws_kms_key_policy" "plain" {
  key_id = aws_kms_key.plain.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "All", Effect = "Allow", Principal = { AWS = local.root }, Action = "kms:*", Resource = "*" }]
  })
}

resource "aws_kms_alias" "orders" {
  name          = "alias/${var.name}/orders"
  target_key_id = local.first ? aws_kms_key.orders.key_id : aws_kms_key.spare.key_id
}

resource "aws_kms_alias" "prefixed" {
  name_prefix   = "alias/${var.name}/made-"
  target_key_id = aws_kms_key.orders.arn
}

# The same key in two regions.
provider "aws" {
  alias  = "elsewhere"
  region = "us-east-2"

  endpoints {
    kms = var.endpoint
    sts = var.endpoint
  }
}

resource "aws_kms_key" "everywhere" {
  multi_region            = true
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

resource "aws_kms_replica_key" "everywhere" {
  provider = aws.elsewhere

  primary_key_arn         = aws_kms_key.everywhere.arn
  description             = local.first ? "elsewhere" : "elsewhere, and switched off"
  enabled                 = local.first
  deletion_window_in_days = 7
  tags                    = { where = "there" }
}

resource "aws_kms_key" "spare" {
  deletion_window_in_days = 7
}

# Base64 of 32 bytes. Nobody should keep a key in a configuration, but the provider offers it.
resource "aws_kms_external_key" "outside" {
  description             = "made elsewhere"
  key_material_base64     = "Wblj06fduthWggmsT0cLVoIMOkeLbc2kVfMud77i/JY="
  valid_to                = local.first ? null : var.forgotten_at
  deletion_window_in_days = 7
  enabled                 = true
}

# A key that waits for its material.
resource "aws_kms_external_key" "empty" {
  deletion_window_in_days = 7
}

resource "aws_iam_role" "reader" {
  name = "${var.name}-reader"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { AWS = local.root }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_kms_grant" "reader" {
  name              = "reader"
  key_id            = aws_kms_key.orders.key_id
  grantee_principal = aws_iam_role.reader.arn
  operations        = local.first ? ["Encrypt", "Decrypt"] : ["Decrypt"]

  constraints {
    encryption_context_equals = { app = "web" }
  }
}

resource "aws_secretsmanager_secret" "orders" {
  name                    = "${var.name}/orders"
  kms_key_id              = local.first ? aws_kms_key.orders.arn : aws_kms_key.spare.arn
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "orders" {
  secret_id     = aws_secretsmanager_secret.orders.id
  secret_string = "hunter2"
}
