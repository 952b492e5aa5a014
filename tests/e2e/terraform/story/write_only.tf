# A value that passes through and leaves no trace: made up by the server, written, read again and written elsewhere, and in
# neither the state nor a plan.

ephemeral "aws_secretsmanager_random_password" "made" {
  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "origin" {
  name                    = "${var.name}/origin"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "origin" {
  secret_id                = aws_secretsmanager_secret.origin.id
  secret_string_wo         = ephemeral.aws_secretsmanager_random_password.made.random_password
  secret_string_wo_version = var.stage
}

ephemeral "aws_secretsmanager_secret_version" "origin" {
  secret_id  = aws_secretsmanager_secret.origin.id
  version_id = aws_secretsmanager_secret_version.origin.version_id
}

resource "aws_secretsmanager_secret" "copy" {
  name                    = "${var.name}/copy"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "copy" {
  secret_id                = aws_secretsmanager_secret.copy.id
  secret_string_wo         = ephemeral.aws_secretsmanager_secret_version.origin.secret_string
  secret_string_wo_version = var.stage
}
