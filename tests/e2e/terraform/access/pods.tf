# A cluster, as the issuer of identities, and a role for one of its service accounts: what EKS calls IAM roles for service accounts.

locals {
  issuer = "${var.name}.cluster.example"
}

resource "aws_iam_openid_connect_provider" "cluster" {
  url             = "https://${local.issuer}"
  client_id_list  = local.first ? ["sts.amazonaws.com"] : ["sts.amazonaws.com", "coffer"]
  thumbprint_list = ["990f4193972f2becf12ddeda5237f9c952f20d9e"]
}

resource "aws_iam_role" "pod" {
  name = "${var.name}-pod"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = aws_iam_openid_connect_provider.cluster.arn }
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:shop:orders"
        }
      }
    }]
  })
}
