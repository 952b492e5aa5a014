# A tour of Coffer with the AWS CLI: the commands of the README, in order. Run them by hand beside a `coffer server`,
# or let test_cli.py run them and compare.
#
# A line with `#>` is what the command above prints, `#!` what it complains when it has to fail, and [..] is anything
# within a line. A command without such a line only has to succeed.

# A profile for the server on this machine.
coffer profile install
aws --profile coffer secretsmanager list-secrets
#> {
#>     "SecretList": []
#> }
export AWS_PROFILE=coffer

# A secret goes in and comes out.
aws secretsmanager create-secret --name db/password --description "the orders database" --secret-string hunter2
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:db/password-[..]",
#>     "Name": "db/password",
#>     "VersionId": "[..]"
#> }
aws secretsmanager get-secret-value --secret-id db/password --query SecretString --output text
#> hunter2

# A new value; the one before stays within reach.
aws secretsmanager put-secret-value --secret-id db/password --secret-string correct-horse
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:db/password-[..]",
#>     "Name": "db/password",
#>     "VersionId": "[..]",
#>     "VersionStages": [
#>         "AWSCURRENT"
#>     ]
#> }
aws secretsmanager list-secret-version-ids --secret-id db/password --query 'Versions[].VersionStages[]'
#> [
#>     "AWSPREVIOUS",
#>     "AWSCURRENT"
#> ]
aws secretsmanager get-secret-value --secret-id db/password --version-stage AWSPREVIOUS --query SecretString --output text
#> hunter2

# A rollback moves a label, not a value.
current=$(aws secretsmanager get-secret-value --secret-id db/password --query VersionId --output text)
previous=$(aws secretsmanager get-secret-value --secret-id db/password --version-stage AWSPREVIOUS --query VersionId --output text)
aws secretsmanager update-secret-version-stage --secret-id db/password --version-stage AWSCURRENT \
    --remove-from-version-id "$current" --move-to-version-id "$previous"
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:db/password-[..]",
#>     "Name": "db/password"
#> }
aws secretsmanager get-secret-value --secret-id db/password --query SecretString --output text
#> hunter2

# Tags, and lists that are filtered by them.
aws secretsmanager tag-resource --secret-id db/password --tags Key=team,Value=orders
aws secretsmanager list-secrets --filters Key=tag-value,Values=orders --query 'SecretList[].[Name,Description]' --output text
#> db/password	the orders database
aws secretsmanager list-secrets --filters Key=name,Values=no/such/prefix --query 'SecretList[].Name' --output text

# A deletion waits, and can be taken back.
aws secretsmanager delete-secret --secret-id db/password --recovery-window-in-days 7
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:db/password-[..]",
#>     "Name": "db/password",
#>     "DeletionDate": [..]
#> }
aws secretsmanager get-secret-value --secret-id db/password
#! [..](InvalidRequestException) when calling the GetSecretValue operation: You can't perform this operation on the secret because it was marked for deletion.
aws secretsmanager restore-secret --secret-id db/password
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:db/password-[..]",
#>     "Name": "db/password"
#> }
aws secretsmanager get-secret-value --secret-id db/password --query SecretString --output text
#> hunter2

# A password that nobody has thought of.
aws secretsmanager get-random-password --password-length 20 --exclude-punctuation --query 'length(RandomPassword)'
#> 20

# Who am I?
aws sts get-caller-identity --query Arn --output text
#> arn:aws:iam::[..]:user/administrator
