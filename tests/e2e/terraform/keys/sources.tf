# What a configuration may ask about keys.

data "aws_kms_key" "orders" {
  key_id = aws_kms_key.orders.key_id
}

data "aws_kms_alias" "orders" {
  name       = aws_kms_alias.orders.name
  depends_on = [aws_kms_alias.orders]
}

data "aws_kms_public_key" "signatures" {
  key_id = aws_kms_key.signatures.key_id
}


resource "aws_kms_ciphertext" "greeting" {
  key_id    = aws_kms_key.orders.key_id
  plaintext = "hello"
  context   = { app = "web" }
}

data "aws_kms_secrets" "greeting" {
  secret {
    name    = "greeting"
    payload = aws_kms_ciphertext.greeting.ciphertext_blob
    context = { app = "web" }
  }
}

output "found" {
  sensitive = true
  value = {
    key        = data.aws_kms_key.orders.arn
    policies   = data.aws_kms_key.orders.key_state
    alias      = data.aws_kms_alias.orders.target_key_id
    public_key = data.aws_kms_public_key.signatures.public_key_pem
    greeting   = data.aws_kms_secrets.greeting.plaintext["greeting"]
  }
}
