# Everything that can be read without owning it. The second stage adds a version and looks again.

resource "aws_secretsmanager_secret" "read" {
  name                    = "${var.name}/read"
  description             = "to be read"
  recovery_window_in_days = 0
  tags                    = { team = "orders" }
}

resource "aws_secretsmanager_secret_version" "read" {
  secret_id     = aws_secretsmanager_secret.read.id
  secret_string = "stage ${var.stage}"
}

resource "aws_secretsmanager_secret_policy" "read" {
  secret_arn = aws_secretsmanager_secret.read.arn
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Deny", Principal = "*", Action = "secretsmanager:DeleteSecret", Resource = "*" }]
  })
}

data "aws_secretsmanager_secret" "by_name" {
  name       = aws_secretsmanager_secret.read.name
  depends_on = [aws_secretsmanager_secret_policy.read, aws_secretsmanager_secret_version.read]
}

data "aws_secretsmanager_secret" "by_arn" {
  arn        = aws_secretsmanager_secret.read.arn
  depends_on = [aws_secretsmanager_secret_policy.read, aws_secretsmanager_secret_version.read]
}

data "aws_secretsmanager_secret_version" "current" {
  secret_id  = aws_secretsmanager_secret.read.name
  depends_on = [aws_secretsmanager_secret_version.read]
}

data "aws_secretsmanager_secret_version" "by_id" {
  secret_id  = aws_secretsmanager_secret.read.arn
  version_id = aws_secretsmanager_secret_version.read.version_id
}

data "aws_secretsmanager_secret_versions" "all" {
  secret_id          = aws_secretsmanager_secret.read.arn
  include_deprecated = true
  depends_on         = [aws_secretsmanager_secret_version.read]
}

data "aws_secretsmanager_secrets" "filtered" {
  filter {
    name   = "name"
    values = ["${var.name}/read"]
  }

  filter {
    name   = "tag-value"
    values = ["orders"]
  }

  depends_on = [aws_secretsmanager_secret_version.read]
}

data "aws_secretsmanager_random_password" "made" {
  password_length     = 50
  exclude_numbers     = true
  exclude_punctuation = true
}

output "sources" {
  sensitive = true
  value = {
    by_name  = data.aws_secretsmanager_secret.by_name
    by_arn   = data.aws_secretsmanager_secret.by_arn
    current  = data.aws_secretsmanager_secret_version.current
    by_id    = data.aws_secretsmanager_secret_version.by_id
    versions = data.aws_secretsmanager_secret_versions.all.versions
    names    = data.aws_secretsmanager_secrets.filtered.names
    # The password is another one each time, its form is not.
    letters = length(regex("^[A-Za-z]+$", data.aws_secretsmanager_random_password.made.random_password))
  }
}
