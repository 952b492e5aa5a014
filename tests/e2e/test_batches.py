"""BatchGetSecretValue through boto3: by ids, by filters, page by page."""

import pytest

from expect import MARKED_FOR_DELETION, NOT_FOUND, refused


@pytest.fixture(scope="module")
def shelf(client_of, new_region):
    """Secrets in a region of their own; nobody changes them."""
    client = client_of(region=new_region())
    for number in range(45):
        client.create_secret(Name=f"shelf/{number:02}", SecretString=f"value {number}")
    client.create_secret(Name="binary", SecretBinary=b"\0\xff")
    client.create_secret(Name="empty")
    client.create_secret(Name="going", SecretString="x")
    client.delete_secret(SecretId="going")
    return client


def test_by_ids(shelf):
    answer = shelf.batch_get_secret_value(SecretIdList=["binary", "shelf/07", "nobody", "going", "empty"])
    single = shelf.get_secret_value(SecretId="shelf/07")
    del single["ResponseMetadata"]
    binary, seventh = answer["SecretValues"]
    assert seventh == single, "an entry is what GetSecretValue says"
    assert binary["SecretBinary"] == b"\0\xff"
    errors = [(error["SecretId"], error["ErrorCode"]) for error in answer["Errors"]]
    assert errors == [
        ("nobody", "ResourceNotFoundException"),
        ("going", "InvalidRequestException"),
        ("empty", "ResourceNotFoundException"),
    ]
    assert answer["Errors"][0]["Message"] == NOT_FOUND
    assert answer["Errors"][1]["Message"] == MARKED_FOR_DELETION


def test_pages_hold_all_that_fit(shelf):
    # boto3 has no paginator for this operation, so clients follow the token themselves.
    query = {"Filters": [{"Key": "name", "Values": ["shelf/"]}]}
    pages = [shelf.batch_get_secret_value(**query)]
    while "NextToken" in pages[-1]:
        pages.append(shelf.batch_get_secret_value(**query, NextToken=pages[-1]["NextToken"]))
    assert [len(page["SecretValues"]) for page in pages] == [20, 20, 5]
    values = [entry["SecretString"] for page in pages for entry in page["SecretValues"]]
    assert values == [f"value {number}" for number in range(45)]


def test_a_token_is_for_its_own_filters(shelf):
    first = shelf.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["shelf/"]}], MaxResults=1)
    with pytest.raises(shelf.exceptions.InvalidNextTokenException):
        shelf.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["shelf"]}], NextToken=first["NextToken"])


def test_requests_that_contradict_themselves(shelf):
    filters = [{"Key": "name", "Values": ["shelf/"]}]
    with refused("InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided"):
        shelf.batch_get_secret_value(SecretIdList=["binary"], Filters=filters)
    with refused("InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided"):
        shelf.batch_get_secret_value()
    with refused("InvalidParameterException", "'Filters' not specified."):
        shelf.batch_get_secret_value(SecretIdList=["binary"], MaxResults=1)
    with refused("ValidationException", "Invalid name."):
        shelf.batch_get_secret_value(SecretIdList=["binary", "no name"])
