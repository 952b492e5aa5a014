# Who may do what, set up with the AWS CLI: a team whose members read exactly the secrets of their team and make none without its name,
# a secret that stops even the administrator, roles that take on roles with less and less, and the workloads of a cluster. Run it by hand
# beside a `coffer server` with a fresh store, after `coffer profile install`, or let test_access_cli.py run it and compare. The marks are
# those of tour.sh. The last part wants a cluster whose keys the server knows, and the token of one of its service accounts.

export AWS_PROFILE=coffer
account=$(aws sts get-caller-identity --query Account --output text)

# People. Each has a team, a key, and a profile of the same name for it.
new_person() { \
    aws iam create-user --user-name "$1" --tags "Key=team,Value=$2" > /dev/null && \
    aws iam put-user-policy --user-name "$1" --policy-name team --policy-document "$team_policy" && \
    key=$(aws iam create-access-key --user-name "$1" --query 'AccessKey.[AccessKeyId,SecretAccessKey]' --output text) && \
    aws configure --profile "$1" set aws_access_key_id "${key%%[[:space:]]*}" && \
    aws configure --profile "$1" set aws_secret_access_key "${key##*[[:space:]]}" && \
    aws configure --profile "$1" set region "$(aws configure get region)" && \
    aws configure --profile "$1" set endpoint_url "$(aws configure get endpoint_url)"; \
}

# One policy for all teams: the variable stands for the tag of whoever calls. A member reads what has the tag of his team. He makes
# secrets that have it from the beginning, and neither takes it away nor puts it on anything else.
team_policy='{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "ReadWhatIsOurs",
      "Effect": "Allow",
      "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret", "secretsmanager:TagResource"],
      "Resource": "*",
      "Condition": {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    },
    {
      "Sid": "List",
      "Effect": "Allow",
      "Action": ["secretsmanager:ListSecrets", "secretsmanager:BatchGetSecretValue"],
      "Resource": "*"
    },
    {
      "Sid": "MakeForUs",
      "Effect": "Allow",
      "Action": "secretsmanager:CreateSecret",
      "Resource": "*",
      "Condition": {"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}
    },
    {
      "Sid": "KeepForUs",
      "Effect": "Deny",
      "Action": "secretsmanager:TagResource",
      "Resource": "*",
      "Condition": {
        "Null": {"aws:RequestTag/team": "false"},
        "StringNotEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}
      }
    }
  ]
}'
new_person ann orders
new_person bob billing

# Ann makes a secret for her team, and cannot forget to say whose it is.
aws --profile ann secretsmanager create-secret --name orders/db --secret-string hunter2 --query Name
#! [..](AccessDeniedException) when calling the CreateSecret operation: User: arn:aws:iam::[..]:user/ann is not authorized to perform: secretsmanager:CreateSecret on resource: orders/db because no identity-based policy allows the secretsmanager:CreateSecret action
aws --profile ann secretsmanager create-secret --name orders/db --secret-string hunter2 --tags Key=team,Value=billing
#! [..](AccessDeniedException) when calling the CreateSecret operation: User: arn:aws:iam::[..]:user/ann is not authorized to perform: secretsmanager:CreateSecret on resource: orders/db because no identity-based policy allows the secretsmanager:CreateSecret action
aws --profile ann secretsmanager create-secret --name orders/db --secret-string hunter2 --tags Key=team,Value=orders --query Name
#> "orders/db"
aws --profile bob secretsmanager create-secret --name billing/db --secret-string correct-horse --tags Key=team,Value=billing --query Name
#> "billing/db"

# Each reads what is of the own team, and nothing else, whether it exists or not.
aws --profile ann secretsmanager get-secret-value --secret-id orders/db --query SecretString --output text
#> hunter2
aws --profile bob secretsmanager get-secret-value --secret-id orders/db
#! [..](AccessDeniedException) when calling the GetSecretValue operation: User: arn:aws:iam::[..]:user/bob is not authorized to perform: secretsmanager:GetSecretValue on resource: orders/db because no identity-based policy allows the secretsmanager:GetSecretValue action
aws --profile bob secretsmanager get-secret-value --secret-id no/such/secret
#! [..](AccessDeniedException) when calling the GetSecretValue operation: User: arn:aws:iam::[..]:user/bob is not authorized to perform: secretsmanager:GetSecretValue on resource: no/such/secret because no identity-based policy allows the secretsmanager:GetSecretValue action
aws --profile bob secretsmanager batch-get-secret-value --secret-id-list billing/db orders/db --query '[SecretValues[].SecretString, Errors[].[SecretId,ErrorCode]]'
#> [
#>     [
#>         "correct-horse"
#>     ],
#>     [
#>         [
#>             "orders/db",
#>             "AccessDeniedException"
#>         ]
#>     ]
#> ]

# Nobody tags himself in, or gives away what is the team's.
aws --profile bob secretsmanager tag-resource --secret-id orders/db --tags Key=team,Value=billing
#! [..](AccessDeniedException) when calling the TagResource operation: [..] because no identity-based policy allows the secretsmanager:TagResource action
aws --profile ann secretsmanager tag-resource --secret-id orders/db --tags Key=team,Value=billing
#! [..](AccessDeniedException) when calling the TagResource operation: [..] with an explicit deny in an identity-based policy
aws --profile ann secretsmanager tag-resource --secret-id orders/db --tags Key=purpose,Value=shop

# A deny in the policy of a secret stops everybody, the administrator too. He sees why, and may lift it.
aws secretsmanager put-resource-policy --secret-id orders/db --query Name --resource-policy '{
  "Version": "2012-10-17",
  "Statement": [{
    "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*",
    "Condition": {"StringNotEquals": {"aws:PrincipalTag/team": "orders"}}
  }]
}'
#> "orders/db"
aws secretsmanager get-secret-value --secret-id orders/db
#! [..](AccessDeniedException) when calling the GetSecretValue operation: User: arn:aws:iam::[..]:user/administrator is not authorized to perform: secretsmanager:GetSecretValue on resource: orders/db with an explicit deny in a resource-based policy
aws --profile ann secretsmanager get-secret-value --secret-id orders/db --query SecretString --output text
#> hunter2
aws secretsmanager delete-resource-policy --secret-id orders/db --query Name
#> "orders/db"
aws secretsmanager get-secret-value --secret-id orders/db --query SecretString --output text
#> hunter2

# Who was refused what?
aws cloudtrail lookup-events --lookup-attributes AttributeKey=Username,AttributeValue=bob --query 'Events[].CloudTrailEvent' --output text \
    | grep -o '"errorCode":"[^"]*"' | sort | uniq -c
#>       4 "errorCode":"AccessDenied"

# Roles. Whoever deploys takes on `deployer`, and from there `auditor`: each of the two is let in by its trust policy.
aws iam create-role --role-name deployer --query Role.RoleName --assume-role-policy-document '{
  "Version": "2012-10-17",
  "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::'"$account"':root"}, "Action": "sts:AssumeRole"}]
}'
#> "deployer"
aws iam put-role-policy --role-name deployer --policy-name deploy --policy-document '{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "arn:aws:secretsmanager:*:*:secret:orders/*"},
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/auditor"}
  ]
}'
aws iam create-role --role-name auditor --query Role.RoleName --assume-role-policy-document '{
  "Version": "2012-10-17",
  "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::'"$account"':role/deployer"}, "Action": "sts:AssumeRole"}]
}'
#> "auditor"
aws iam put-role-policy --role-name auditor --policy-name look --policy-document '{
  "Version": "2012-10-17",
  "Statement": [{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}]
}'

# Trust in the account is not enough: the user's own policies have to say yes too.
aws --profile ann sts assume-role --role-arn "arn:aws:iam::$account:role/deployer" --role-session-name ann
#! [..](AccessDenied) when calling the AssumeRole operation: User: arn:aws:iam::[..]:user/ann is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::[..]:role/deployer
aws iam put-user-policy --user-name ann --policy-name deploy --policy-document '{
  "Version": "2012-10-17",
  "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/deployer"}]
}'

# Credentials of a session go into the environment, where they come before those of the profile.
assume() { \
    aws "$@" --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' --output text; \
}
become() { \
    export AWS_ACCESS_KEY_ID=$1 AWS_SECRET_ACCESS_KEY=$2 AWS_SESSION_TOKEN=$3; \
}
become $(assume --profile ann sts assume-role --role-arn "arn:aws:iam::$account:role/deployer" --role-session-name ann)
aws sts get-caller-identity --query Arn --output text
#> arn:aws:sts::[..]:assumed-role/deployer/ann
aws secretsmanager get-secret-value --secret-id orders/db --query SecretString --output text
#> hunter2
aws secretsmanager get-secret-value --secret-id billing/db
#! [..](AccessDeniedException) when calling the GetSecretValue operation: User: arn:aws:sts::[..]:assumed-role/deployer/ann is not authorized to perform: secretsmanager:GetSecretValue on resource: billing/db because no identity-based policy allows the secretsmanager:GetSecretValue action

# From one role to the next, for an hour at most, and with a session policy that leaves less than the role may do.
aws sts assume-role --role-arn "arn:aws:iam::$account:role/auditor" --role-session-name ann --duration-seconds 7200
#! [..](ValidationError) when calling the AssumeRole operation: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.
become $(assume sts assume-role --role-arn "arn:aws:iam::$account:role/auditor" --role-session-name ann --policy '{
  "Version": "2012-10-17",
  "Statement": [{"Effect": "Allow", "Action": ["secretsmanager:DescribeSecret", "secretsmanager:ListSecrets"], "Resource": "*"}]
}')
aws sts get-caller-identity --query Arn --output text
#> arn:aws:sts::[..]:assumed-role/auditor/ann
aws secretsmanager describe-secret --secret-id billing/db --query Name
#> "billing/db"
aws secretsmanager get-secret-value --secret-id billing/db
#! [..](AccessDeniedException) when calling the GetSecretValue operation: User: arn:aws:sts::[..]:assumed-role/auditor/ann is not authorized to perform: secretsmanager:GetSecretValue on resource: billing/db because no session policy allows the secretsmanager:GetSecretValue action
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN

# Ann leaves. Her key ends with the next call; a session of a role would last until its hour is over.
aws iam update-access-key --user-name ann --access-key-id "$(aws configure --profile ann get aws_access_key_id)" --status Inactive
aws --profile ann secretsmanager list-secrets
#! [..](UnrecognizedClientException) when calling the ListSecrets operation: The security token included in the request is invalid.

# Workloads of a cluster have no keys. The server has the cluster's public keys from its configuration ([oidc.keys]); the account says
# that it knows the cluster, and a role says which service account may have it.
issuer=kubernetes.default.svc.cluster.local
aws iam create-open-id-connect-provider --url "https://$issuer" --client-id-list sts.amazonaws.com
#> {
#>     "OpenIDConnectProviderArn": "arn:aws:iam::[..]:oidc-provider/kubernetes.default.svc.cluster.local"
#> }
aws iam create-role --role-name api --tags Key=team,Value=orders --query Role.RoleName --assume-role-policy-document '{
  "Version": "2012-10-17",
  "Statement": [{
    "Effect": "Allow",
    "Principal": {"Federated": "arn:aws:iam::'"$account"':oidc-provider/'"$issuer"'"},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {"StringEquals": {
      "'"$issuer"':aud": "sts.amazonaws.com",
      "'"$issuer"':sub": "system:serviceaccount:prod:api"
    }}
  }]
}'
#> "api"
aws iam put-role-policy --role-name api --policy-name team --policy-document "$team_policy"

# What the cluster puts into each pod of that service account. The token is a file that the cluster renews, and the SDK asks for the role.
in_pod() { \
    env -u AWS_PROFILE AWS_ROLE_ARN="arn:aws:iam::$account:role/api" AWS_WEB_IDENTITY_TOKEN_FILE="$1" \
    AWS_ENDPOINT_URL="$(aws configure get endpoint_url)" AWS_DEFAULT_REGION="$(aws configure get region)" aws "${@:2}"; \
}
in_pod token secretsmanager get-secret-value --secret-id orders/db --query SecretString --output text
#> hunter2
in_pod token secretsmanager get-secret-value --secret-id billing/db
#! [..](AccessDeniedException) when calling the GetSecretValue operation: User: arn:aws:sts::[..]:assumed-role/api/[..] is not authorized to perform: secretsmanager:GetSecretValue on resource: billing/db because no identity-based policy allows the secretsmanager:GetSecretValue action
in_pod token-of-another sts get-caller-identity
#! [..](AccessDenied) when calling the AssumeRoleWithWebIdentity operation: Not authorized to perform sts:AssumeRoleWithWebIdentity
