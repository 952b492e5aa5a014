"""GetRandomPassword through boto3: lengths, alphabets, and enough chance to notice a generator that has none."""

import string

from expect import refused


def password(client, **words):
    return client.get_random_password(**words)["RandomPassword"]


def test_a_plain_password_has_32_characters_of_four_classes(sm):
    seen = [password(sm) for _ in range(20)]
    assert len(set(seen)) == 20
    for found in seen:
        assert len(found) == 32 and " " not in found
        for alphabet in (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation):
            assert set(found) & set(alphabet), found
        assert set(found) <= set(string.ascii_letters + string.digits + string.punctuation)


def test_alphabets_are_chosen(sm):
    for words, alphabet in (
        ({"ExcludePunctuation": True}, string.ascii_letters + string.digits),
        ({"ExcludeNumbers": True, "ExcludePunctuation": True}, string.ascii_letters),
        ({"ExcludeUppercase": True, "ExcludePunctuation": True}, string.ascii_lowercase + string.digits),
        ({"ExcludeLowercase": True, "ExcludePunctuation": True}, string.ascii_uppercase + string.digits),
        ({"ExcludeLowercase": True, "ExcludeUppercase": True, "ExcludePunctuation": True}, string.digits),
        ({"IncludeSpace": True}, string.ascii_letters + string.digits + string.punctuation + " "),
        ({"ExcludeCharacters": string.ascii_letters + string.punctuation + "01234567"}, "89"),
    ):
        # In 4,096 characters even a rare one of 95 is missing less often than once in 10^18 runs.
        assert set(password(sm, PasswordLength=4096, **words)) == set(alphabet), words


def test_excluded_characters_cost_no_length(sm):
    excluded = "xyzDje@?!."
    found = password(sm, PasswordLength=120, ExcludeCharacters=excluded)
    assert len(found) == 120 and not set(found) & set(excluded)


def test_passwords_that_cannot_be(sm, unchecked):
    for length in (0, 4097):
        with refused("ValidationException", "'passwordLength' failed to satisfy constraint"):
            unchecked.get_random_password(PasswordLength=length)
    with refused("InvalidParameterException", "Password length is too short based on the required types."):
        sm.get_random_password(PasswordLength=3)
    assert len(password(sm, PasswordLength=3, RequireEachIncludedType=False)) == 3
    with refused("InvalidParameterException"):
        sm.get_random_password(
            ExcludeLowercase=True, ExcludeUppercase=True, ExcludeNumbers=True, ExcludePunctuation=True
        )
