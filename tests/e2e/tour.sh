# The long way round with the AWS CLI: what the tour of the README leaves out. Run it by hand beside a `coffer server`
# with a fresh store, after `coffer profile install`, or let test_cli.py run it and compare.
#
# A line with `#>` is what the command above prints, `#!` what it complains when it has to fail, and [..] is anything
# within a line. A command without such a line only has to succeed.

# The profile can be named each time, or once for all.
aws --profile coffer secretsmanager list-secrets --filters Key=name,Values=tour/
#> {
#>     "SecretList": []
#> }
export AWS_PROFILE=coffer

# A secret goes in and comes out.
aws secretsmanager create-secret --name tour/password --description "the orders database" --secret-string hunter2
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:tour/password-[..]",
#>     "Name": "tour/password",
#>     "VersionId": "[..]"
#> }
aws secretsmanager get-secret-value --secret-id tour/password --query SecretString --output text
#> hunter2

# A new value; the one before stays within reach.
aws secretsmanager put-secret-value --secret-id tour/password --secret-string correct-horse
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:tour/password-[..]",
#>     "Name": "tour/password",
#>     "VersionId": "[..]",
#>     "VersionStages": [
#>         "AWSCURRENT"
#>     ]
#> }
aws secretsmanager list-secret-version-ids --secret-id tour/password --query 'Versions[].VersionStages[]'
#> [
#>     "AWSPREVIOUS",
#>     "AWSCURRENT"
#> ]
aws secretsmanager get-secret-value --secret-id tour/password --version-stage AWSPREVIOUS --query SecretString --output text
#> hunter2

# A rollback moves a label, not a value.
current=$(aws secretsmanager get-secret-value --secret-id tour/password --query VersionId --output text)
previous=$(aws secretsmanager get-secret-value --secret-id tour/password --version-stage AWSPREVIOUS --query VersionId --output text)
aws secretsmanager update-secret-version-stage --secret-id tour/password --version-stage AWSCURRENT \
    --remove-from-version-id "$current" --move-to-version-id "$previous"
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:tour/password-[..]",
#>     "Name": "tour/password"
#> }
aws secretsmanager get-secret-value --secret-id tour/password --query SecretString --output text
#> hunter2

# Tags, and lists that are filtered by them.
aws secretsmanager tag-resource --secret-id tour/password --tags Key=owner,Value=tour-guides
aws secretsmanager list-secrets --filters Key=tag-value,Values=tour- --query 'SecretList[].[Name,Description]' --output text
#> tour/password	the orders database
aws secretsmanager list-secrets --filters Key=name,Values=no/such/prefix --query 'SecretList[].Name' --output text

# A deletion waits, and can be taken back.
aws secretsmanager delete-secret --secret-id tour/password --recovery-window-in-days 7
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:tour/password-[..]",
#>     "Name": "tour/password",
#>     "DeletionDate": [..]
#> }
aws secretsmanager get-secret-value --secret-id tour/password
#! [..](InvalidRequestException) when calling the GetSecretValue operation: You can't perform this operation on the secret because it was marked for deletion.
aws secretsmanager restore-secret --secret-id tour/password
#> {
#>     "ARN": "arn:aws:secretsmanager:us-east-1:[..]:secret:tour/password-[..]",
#>     "Name": "tour/password"
#> }
aws secretsmanager get-secret-value --secret-id tour/password --query SecretString --output text
#> hunter2

# A password that nobody has thought of.
aws secretsmanager get-random-password --password-length 20 --exclude-punctuation --query 'length(RandomPassword)'
#> 20

# Who am I?
aws sts get-caller-identity --query Arn --output text
#> arn:aws:iam::[..]:user/administrator
