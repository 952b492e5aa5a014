# Versions: text, bytes, and labels that move from one version to another.

resource "aws_secretsmanager_secret" "text" {
  name                    = "${var.name}/text"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "text" {
  secret_id     = aws_secretsmanager_secret.text.id
  secret_string = jsonencode({ user = "admin", password = local.first ? "one" : "zwölf €\n" })
}

resource "aws_secretsmanager_secret" "bytes" {
  name                    = "${var.name}/bytes"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "bytes" {
  secret_id     = aws_secretsmanager_secret.bytes.id
  secret_binary = local.first ? "AP8BAgM=" : "AP8BAgMEBQ=="
}

resource "aws_secretsmanager_secret" "labelled" {
  name                    = "${var.name}/labelled"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "blue" {
  secret_id      = aws_secretsmanager_secret.labelled.id
  secret_string  = "blue"
  version_stages = local.first ? ["AWSCURRENT", "blue", "live"] : ["AWSCURRENT", "blue"]
}

# Made after the other one, which holds AWSCURRENT and keeps it.
resource "aws_secretsmanager_secret_version" "green" {
  secret_id      = aws_secretsmanager_secret.labelled.id
  secret_string  = "green"
  version_stages = local.first ? ["green"] : ["green", "live"]
  depends_on     = [aws_secretsmanager_secret_version.blue]
}
