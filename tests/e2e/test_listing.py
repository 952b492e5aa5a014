"""ListSecrets through boto3: pages, filters, order. Each test takes a region of its own and finds an empty list there."""

import pytest

from expect import is_today, refused


@pytest.fixture
def empty(client_of, new_region):
    client = client_of(region=new_region())
    assert client.list_secrets()["SecretList"] == []
    return client


@pytest.fixture(scope="module")
def shelf(client_of, new_region):
    """Secrets for the filters; nobody changes them."""
    client = client_of(region=new_region())
    for name, more in SHELF.items():
        tags = [{"Key": key, "Value": value} for key, value in more.get("tags", {}).items()]
        description = {"Description": more["description"]} if "description" in more else {}
        client.create_secret(Name=name, SecretString="v", Tags=tags, **description)
    return client


SHELF = {
    "prod/AppBeta/db": {"description": "a secret", "tags": {"env": "prod", "Team": "blue"}},
    "prod/AppGamma/db": {"description": "an secret", "tags": {"env": "prod"}},
    "test/creds892": {"description": "asecret", "tags": {"env": "test"}},
    "test/COMPANYthings": {"description": "thesecret"},
    "/slash/first": {"tags": {"Env": "Test"}},
}
BETA, GAMMA, CREDS, COMPANY, SLASH = SHELF


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [BETA, GAMMA, CREDS, COMPANY, SLASH]),
        ({"name": ["prod/"]}, [BETA, GAMMA]),
        ({"name": ["Prod/"]}, []),
        ({"name": ["/"]}, [SLASH]),
        ({"name": ["prod/AppB", "/slash"]}, [BETA, SLASH]),
        ({"name": ["!prod/"]}, [CREDS, COMPANY, SLASH]),
        ({"description": ["a"]}, [BETA, GAMMA, CREDS]),
        ({"description": ["A SECRET"]}, [BETA, GAMMA]),
        ({"tag-key": ["env"]}, [BETA, GAMMA, CREDS]),
        ({"tag-key": ["Env"]}, [SLASH]),
        ({"tag-value": ["te"]}, [CREDS]),
        ({"tag-key": ["env"], "tag-value": ["blue"]}, [BETA]),
        ({"all": ["beta"]}, [BETA]),
        ({"all": ["creds"]}, [CREDS]),
        ({"all": ["892"]}, [CREDS]),
        ({"all": ["things"]}, []),
        ({"all": ["prod"]}, [BETA, GAMMA]),
        ({"all": ["ret"]}, []),
        ({"name": ["prod/"], "all": ["gamma"]}, [GAMMA]),
        ({"owning-service": ["rds"]}, []),
        ({"primary-region": ["eu"]}, []),
    ],
    ids=str,
)
def test_filters(shelf, filters, expected):
    filters = [{"Key": key, "Values": values} for key, values in filters.items()]
    found = shelf.list_secrets(Filters=filters, SortBy="name")["SecretList"]
    assert sorted(entry["Name"] for entry in found) == sorted(expected)


def test_the_same_key_twice_means_both(shelf):
    filters = [{"Key": "name", "Values": ["prod/"]}, {"Key": "name", "Values": ["prod/AppG"]}]
    assert [entry["Name"] for entry in shelf.list_secrets(Filters=filters)["SecretList"]] == [GAMMA]


def test_filters_that_are_refused(shelf, unchecked):
    with refused("ValidationException", "Member must satisfy enum value set"):
        unchecked.list_secrets(Filters=[{"Key": "colour", "Values": ["x"]}])
    with refused("InvalidParameterException"):
        unchecked.list_secrets(Filters=[{"Values": ["x"]}])
    with refused("InvalidParameterException"):
        unchecked.list_secrets(Filters=[{"Key": "name"}])
    with refused("ValidationException"):
        unchecked.list_secrets(Filters=[{"Key": "name", "Values": ["x"]}] * 11)


def test_the_paginator_walks_all_pages(empty):
    names = [f"page/{number:02}" for number in range(11)]
    for name in names:
        empty.create_secret(Name=name)
    paginator = empty.get_paginator("list_secrets")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 4}))
    assert [len(page["SecretList"]) for page in pages] == [4, 4, 3]
    assert [entry["Name"] for page in pages for entry in page["SecretList"]] == names, "in the order of creation"
    assert "NextToken" not in pages[-1]
    # A list that shrinks and grows between two pages keeps its place.
    first = empty.list_secrets(MaxResults=4)
    empty.delete_secret(SecretId=names[3], ForceDeleteWithoutRecovery=True)
    empty.create_secret(Name="page/late")
    rest = empty.list_secrets(MaxResults=100, NextToken=first["NextToken"])
    assert [entry["Name"] for entry in rest["SecretList"]] == [*names[4:], "page/late"]


def test_a_paginator_stops_within_a_page_and_goes_on_there(empty):
    names = [f"page/{number}" for number in range(7)]
    for name in names:
        empty.create_secret(Name=name)
    paginator = empty.get_paginator("list_secrets")
    for page_size in (1, 2, 3, 100):
        found, begin = [], {}
        while not found or begin:
            pages = paginator.paginate(PaginationConfig={"PageSize": page_size, "MaxItems": 2, **begin})
            part = pages.build_full_result()
            found.append([entry["Name"] for entry in part["SecretList"]])
            begin = {"StartingToken": part["NextToken"]} if "NextToken" in part else {}
        assert found == [names[0:2], names[2:4], names[4:6], names[6:7]], page_size
    assert list(paginator.paginate(SortOrder="desc").search("SecretList[].Name")) == names[::-1]


def test_boto3_has_these_paginators(sm):
    # A list that boto3 learns to page is paged here too; the others are followed by their token, in test_versions and test_batches.
    paged = {name for name in sm.meta.method_to_api_mapping if sm.can_paginate(name)}
    assert paged == {"list_secrets", "list_resource_policies"}


def test_a_page_token_belongs_to_its_question(empty, shelf):
    for number in range(3):
        empty.create_secret(Name=f"n/{number}")
    token = empty.list_secrets(MaxResults=1)["NextToken"]
    assert empty.list_secrets(MaxResults=1, NextToken=token)["SecretList"][0]["Name"] == "n/1"
    for client, words in (
        (empty, {"NextToken": "nonsense"}),
        (empty, {"NextToken": token, "SortBy": "name", "SortOrder": "desc"}),
        (empty, {"NextToken": token, "Filters": [{"Key": "name", "Values": ["n"]}]}),
        (shelf, {"NextToken": token}),
    ):
        with refused("InvalidNextTokenException"):
            client.list_secrets(**words)


def test_lists_are_sorted_as_asked(empty):
    for name in ("b", "c", "a"):
        empty.create_secret(Name=name, SecretString="v")
    empty.update_secret(SecretId="b", Description="changed last")
    empty.get_secret_value(SecretId="c")
    for by, ascending in (
        ("name", "abc"),
        ("created-date", "bca"),
        ("last-changed-date", "cab"),
    ):
        names = lambda order: "".join(e["Name"] for e in empty.list_secrets(SortBy=by, SortOrder=order)["SecretList"])
        assert (names("asc"), names("desc")) == (ascending, ascending[::-1]), by
    accessed = empty.list_secrets(SortBy="last-accessed-date", SortOrder="desc")["SecretList"]
    assert accessed[0]["Name"] == "c" and is_today(accessed[0]["LastAccessedDate"])
    assert all("LastAccessedDate" not in entry for entry in accessed[1:])


def test_an_entry_says_what_a_description_says(empty):
    created = empty.create_secret(Name="one", SecretString="v", Description="d", Tags=[{"Key": "k", "Value": "v"}])
    (entry,) = empty.list_secrets()["SecretList"]
    described = empty.describe_secret(SecretId="one")
    del described["ResponseMetadata"]
    # The same map has two names on AWS.
    described["SecretVersionsToStages"] = described.pop("VersionIdsToStages")
    assert entry == described
    assert entry["SecretVersionsToStages"] == {created["VersionId"]: ["AWSCURRENT"]}


def test_scheduled_secrets_are_listed_on_request(empty):
    empty.create_secret(Name="kept")
    empty.create_secret(Name="going")
    empty.delete_secret(SecretId="going")
    assert [entry["Name"] for entry in empty.list_secrets()["SecretList"]] == ["kept"]
    entries = {entry["Name"]: entry for entry in empty.list_secrets(IncludePlannedDeletion=True)["SecretList"]}
    assert set(entries) == {"kept", "going"}
    assert "DeletedDate" in entries["going"] and "DeletedDate" not in entries["kept"]
