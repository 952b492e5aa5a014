# A secret with replicas in other regions: one that stays, and one that is exchanged for another.

variable "region_kept" {
  type = string
}

variable "regions_exchanged" {
  type = list(string)
}

resource "aws_secretsmanager_secret" "primary" {
  name                    = "${var.name}/primary"
  recovery_window_in_days = 0

  replica {
    region = var.region_kept
  }

  replica {
    region = var.regions_exchanged[var.stage - 1]
  }
}

resource "aws_secretsmanager_secret_version" "primary" {
  secret_id     = aws_secretsmanager_secret.primary.id
  secret_string = "stage ${var.stage}"
}
