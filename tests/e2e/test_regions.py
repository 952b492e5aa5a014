"""Two regions behind one endpoint are two stores; the signature says which one is meant."""

from expect import NOT_FOUND, refused


def test_a_region_sees_only_its_own(client_of, new_region):
    one, two = new_region(), new_region()
    here, there = client_of(region=one), client_of(region=two)
    first = here.create_secret(Name="shared/name", SecretString="of one")
    second = there.create_secret(Name="shared/name", SecretString="of two")
    assert f":{one}:" in first["ARN"] and f":{two}:" in second["ARN"]
    assert here.get_secret_value(SecretId="shared/name")["SecretString"] == "of one"
    assert there.get_secret_value(SecretId="shared/name")["SecretString"] == "of two"
    with refused("ResourceNotFoundException", NOT_FOUND):
        there.get_secret_value(SecretId=first["ARN"])

    here.delete_secret(SecretId="shared/name", ForceDeleteWithoutRecovery=True)
    assert here.list_secrets()["SecretList"] == []
    assert [entry["ARN"] for entry in there.list_secrets()["SecretList"]] == [second["ARN"]]


def test_the_account_is_the_same_everywhere(client_of, new_region):
    accounts = {client_of("sts", region=new_region()).get_caller_identity()["Account"] for _ in range(2)}
    assert len(accounts) == 1
