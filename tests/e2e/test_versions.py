"""Versions, staging labels and idempotency through boto3.

The sequences are those that AWS's documentation describes for rotation and rollback; a version is a letter here and a token on the wire.
"""

import pytest

from expect import is_recent, is_today, labels, refused, token

CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"


class Story:
    """A secret whose versions have short names."""

    def __init__(self, client, name):
        self.client, self.name, self.tokens = client, name, {}
        self.client.create_secret(Name=name, SecretString="a", ClientRequestToken=self.token("a"))

    def token(self, version):
        return self.tokens.setdefault(version, token())

    def put(self, version, *stages):
        stages = {"VersionStages": list(stages)} if stages else {}
        answer = self.client.put_secret_value(
            SecretId=self.name, SecretString=version, ClientRequestToken=self.token(version), **stages
        )
        assert answer["VersionId"] == self.tokens[version]
        return self

    def move(self, stage, source=None, target=None):
        words = {"RemoveFromVersionId": source, "MoveToVersionId": target}
        words = {word: self.token(version) for word, version in words.items() if version}
        self.client.update_secret_version_stage(SecretId=self.name, VersionStage=stage, **words)
        return self

    def shows(self, **expected):
        found = labels(self.client, self.name)
        by_name = {version: found.get(tok) for version, tok in self.tokens.items()}
        assert by_name == {version: set(stages) for version, stages in expected.items()}
        return self


@pytest.fixture
def story(sm, new_name):
    return Story(sm, new_name("story"))


def test_a_put_moves_current_and_leaves_previous_behind(story):
    story.shows(a=[CURRENT])
    story.put("b").shows(a=[PREVIOUS], b=[CURRENT])
    story.put("c").shows(a=[], b=[PREVIOUS], c=[CURRENT])


def test_a_rotation_by_hand(story):
    story.put("b", PENDING).shows(a=[CURRENT], b=[PENDING])
    story.move(CURRENT, "a", "b").shows(a=[PREVIOUS], b=[CURRENT, PENDING])
    story.put("c").shows(a=[], b=[PREVIOUS], c=[CURRENT])


def test_two_rotations_with_labels_of_ones_own(story):
    story.put("b", CURRENT, "PUT0").shows(a=[PREVIOUS], b=[CURRENT, "PUT0"])
    story.put("c", PENDING, "PUT1").shows(a=[PREVIOUS], b=[CURRENT, "PUT0"], c=[PENDING, "PUT1"])
    story.move(CURRENT, "b", "c").shows(a=[], b=[PREVIOUS, "PUT0"], c=[CURRENT, PENDING, "PUT1"])
    story.put("d", PENDING, "PUT2").move(CURRENT, "c", "d")
    story.shows(a=[], b=["PUT0"], c=[PREVIOUS, "PUT1"], d=[CURRENT, PENDING, "PUT2"])


def test_a_label_is_on_one_version_at_a_time(story):
    story.put("b", "one", "two", "three").put("c", "one", "two", "four")
    story.shows(a=[CURRENT], b=["three"], c=["one", "two", "four"])
    story.put("d", "three").shows(a=[CURRENT], b=[], c=["one", "two", "four"], d=["three"])


def test_a_rollback_and_back(story):
    story.put("b").move(CURRENT, "b", "a").shows(a=[CURRENT], b=[PREVIOUS])
    assert story.client.get_secret_value(SecretId=story.name)["SecretString"] == "a"
    assert story.client.get_secret_value(SecretId=story.name, VersionStage=PREVIOUS)["SecretString"] == "b"
    story.move(CURRENT, "a", "b").shows(a=[PREVIOUS], b=[CURRENT])


def test_labels_come_and_go_by_name(story):
    story.put("b", "canary").move("canary", source="b").shows(a=[CURRENT], b=[])
    story.move("canary", target="b").shows(a=[CURRENT], b=["canary"])
    story.move("canary", target="b").shows(a=[CURRENT], b=["canary"])


@pytest.mark.parametrize(
    ("stage", "source", "target", "code", "text"),
    [
        (CURRENT, None, "b", "InvalidParameterException", "The parameter RemoveFromVersionId can't be empty."),
        (CURRENT, "a", None, "InvalidParameterException", "It can't be completely removed."),
        (CURRENT, "b", "a", "InvalidParameterException", ""),
        ("nobody's", "a", None, "InvalidParameterException", ""),
        ("new", None, None, "InvalidParameterException", ""),
        ("new", None, "unknown", "ResourceNotFoundException", ""),
    ],
    ids=["implicit", "removed", "elsewhere", "nowhere", "nothing", "unknown"],
)
def test_moves_that_are_refused_change_nothing(story, stage, source, target, code, text):
    story.put("b", "canary")
    with refused(code, text):
        story.move(stage, source, target)
    story.tokens.pop("unknown", None)
    story.shows(a=[CURRENT], b=["canary"])


def test_a_version_is_read_by_id_by_label_and_by_both(story):
    story.put("b").put("c")
    read = lambda **which: story.client.get_secret_value(SecretId=story.name, **which)
    assert read()["SecretString"] == "c"
    assert read(VersionStage=PREVIOUS)["SecretString"] == "b"
    assert read(VersionId=story.token("b"), VersionStage=PREVIOUS)["SecretString"] == "b"
    deprecated = read(VersionId=story.token("a"))
    assert deprecated["SecretString"] == "a" and "VersionStages" not in deprecated
    with refused("InvalidRequestException", "a VersionStage that is not associated to the provided VersionId"):
        read(VersionId=story.token("b"), VersionStage=CURRENT)
    with refused("ResourceNotFoundException", "secret value for staging label: other"):
        read(VersionStage="other")
    missing = token()
    with refused("ResourceNotFoundException", f"secret value for VersionId: {missing}"):
        read(VersionId=missing)


def test_a_repeated_request_is_answered_like_the_first(sm, new_name):
    name, first, second = new_name(), token(), token()
    create = lambda value: sm.create_secret(Name=name, SecretString=value, ClientRequestToken=first)
    put = lambda value: sm.put_secret_value(SecretId=name, SecretString=value, ClientRequestToken=second)
    update = lambda value: sm.update_secret(SecretId=name, SecretString=value, ClientRequestToken=second)

    created = _body(create("one"))
    assert _body(create("one")) == created
    answer = _body(put("two"))
    assert answer["VersionStages"] == [CURRENT]
    before = sm.describe_secret(SecretId=name)
    assert _body(put("two")) == answer
    assert _body(update("two"))["VersionId"] == second
    assert _body(create("one")) == created, "the first request may still be repeated"
    assert _body(sm.describe_secret(SecretId=name)) == _body(before)
    assert labels(sm, name) == {first: {PREVIOUS}, second: {CURRENT}}

    for repeat, used in ((create, first), (put, second), (update, second)):
        with refused("ResourceExistsException", f"You can't use ClientRequestToken {used} because that value is"):
            repeat("another value")
    with refused("ResourceExistsException"):
        sm.put_secret_value(SecretId=name, SecretBinary=b"two", ClientRequestToken=second)


def test_a_token_is_taken_as_it_is(sm, unchecked, new_name):
    name, upper = new_name(), "EXAMPLE1-90AB-CDEF-FEDC-BA987SECRET1"
    sm.create_secret(Name=name, SecretString="v")
    # Terraform's, an old SDK's in capitals, the same in small letters, and the longest.
    for value in ("terraform-20260101000000000000000001", upper, upper.lower(), "A" * 64):
        sm.put_secret_value(SecretId=name, SecretString="v", ClientRequestToken=value)
        assert sm.get_secret_value(SecretId=name)["VersionId"] == value
    for value in ("x" * 31, "x" * 65):
        with refused("ValidationException", "'clientRequestToken' failed to satisfy constraint"):
            unchecked.put_secret_value(SecretId=name, SecretString="v", ClientRequestToken=value)


def test_versions_are_listed_page_by_page(sm, story):
    for version in "bcde":
        story.put(version, f"label-{version}")
    story.put("f").put("g").put("h")
    pages, page = [], {}
    while not pages or "NextToken" in page:
        more = {"NextToken": page["NextToken"]} if pages else {}
        page = sm.list_secret_version_ids(SecretId=story.name, IncludeDeprecated=True, MaxResults=3, **more)
        assert len(page["Versions"]) <= 3
        pages.append(page["Versions"])
    versions = [version for page in pages for version in page]
    assert [version["VersionId"] for version in versions] == [story.tokens[name] for name in "abcdefgh"]
    assert [len(page) for page in pages] == [3, 3, 2]
    for version in versions:
        assert is_recent(version["CreatedDate"])
        assert version["KmsKeyIds"] == ["DefaultEncryptionKey"]
        assert "LastAccessedDate" not in version

    sm.get_secret_value(SecretId=story.name)
    listed = sm.list_secret_version_ids(SecretId=story.name)
    assert (listed["Name"], "NextToken" in listed) == (story.name, False)
    dates = {version["VersionId"]: version.get("LastAccessedDate") for version in listed["Versions"]}
    assert set(dates) == {story.tokens[name] for name in "bcdegh"}, "deprecated versions are listed on request only"
    assert is_today(dates.pop(story.tokens["h"]))
    assert set(dates.values()) == {None}


def test_a_token_of_another_list_is_no_token(sm, story):
    story.put("b")
    page = sm.list_secret_version_ids(SecretId=story.name, MaxResults=1)
    with refused("InvalidNextTokenException"):
        sm.list_secret_version_ids(SecretId=story.name, NextToken="nonsense")
    with refused("InvalidNextTokenException"):
        sm.list_secrets(NextToken=page["NextToken"])


def test_a_secret_has_100_versions_on_one_day_and_no_more(sm, new_name):
    name = new_name()
    sm.create_secret(Name=name, SecretString="0")
    for number in range(1, 100):
        sm.put_secret_value(SecretId=name, SecretString=str(number))
    assert len(labels(sm, name)) == 100
    with refused("LimitExceededException"):
        sm.put_secret_value(SecretId=name, SecretString="100")
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "99"


def _body(answer):
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
