"""Tags through boto3: inserted, replaced, removed, in an order that stays."""

import pytest

from expect import NOT_FOUND, refused


def tags(*pairs):
    return [{"Key": key, "Value": value} for key, value in pairs]


def test_tags_keep_their_place(sm, secret):
    name = secret["Name"]
    assert "Tags" not in sm.describe_secret(SecretId=name), "a secret that was never tagged has no list"
    sm.tag_resource(SecretId=name, Tags=tags(("z", "1"), ("a", "2")))
    sm.tag_resource(SecretId=name, Tags=tags(("Z", ""), ("z", "3")))
    assert sm.describe_secret(SecretId=name)["Tags"] == tags(("z", "3"), ("a", "2"), ("Z", ""))
    sm.untag_resource(SecretId=name, TagKeys=["a", "never there"])
    assert sm.describe_secret(SecretId=name)["Tags"] == tags(("z", "3"), ("Z", ""))
    sm.untag_resource(SecretId=name, TagKeys=["z", "Z"])
    assert sm.describe_secret(SecretId=name)["Tags"] == [], "one whose tags are gone has an empty one"


def test_tags_of_any_script(sm, secret):
    pairs = tags(("Größe", "groß"), ("鍵", "値"), ("a b:c/d=e+f-g@h", " x "))
    sm.tag_resource(SecretId=secret["ARN"], Tags=pairs)
    assert sm.describe_secret(SecretId=secret["Name"])["Tags"] == pairs


def test_fifty_tags_are_enough(sm, secret):
    name = secret["Name"]
    sm.tag_resource(SecretId=name, Tags=tags(*((f"k{number}", "v") for number in range(50))))
    with refused("InvalidParameterException"):
        sm.tag_resource(SecretId=name, Tags=tags(("one more", "v")))
    sm.tag_resource(SecretId=name, Tags=tags(("k0", "changed")))
    assert len(sm.describe_secret(SecretId=name)["Tags"]) == 50


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([("aws:mine", "v")], "InvalidParameterException"),
        ([("twice", "1"), ("twice", "2")], "InvalidParameterException"),
        ([("k" * 129, "v")], "ValidationException"),
        ([("k", "v" * 257)], "ValidationException"),
    ],
    ids=["reserved", "twice", "long key", "long value"],
)
def test_tags_that_are_refused(sm, secret, new_name, pairs, code):
    with refused(code):
        sm.tag_resource(SecretId=secret["Name"], Tags=tags(*pairs))
    assert "Tags" not in sm.describe_secret(SecretId=secret["Name"])
    with refused(code):
        sm.create_secret(Name=new_name(), SecretString="v", Tags=tags(*pairs))


def test_nobody_s_tags(sm, new_name):
    name = new_name("missing")
    with refused("ResourceNotFoundException", NOT_FOUND):
        sm.tag_resource(SecretId=name, Tags=tags(("k", "v")))
    with refused("ResourceNotFoundException", NOT_FOUND):
        sm.untag_resource(SecretId=name, TagKeys=["k"])
