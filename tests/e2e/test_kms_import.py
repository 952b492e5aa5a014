"""Key material that comes from outside, through boto3, wrapped by OpenSSL."""

import os
import shutil
from datetime import datetime, timedelta, timezone

import pytest

from expect import refused
from openssl import OpenSsl

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine")


@pytest.fixture
def openssl(tmp_path):
    return OpenSsl(tmp_path)


@pytest.fixture(scope="module")
def kms(client_of):
    return client_of("kms")


def parameters(kms, key_id: str, algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048") -> dict:
    return kms.get_parameters_for_import(KeyId=key_id, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)


def bring(kms, openssl, key_id: str, material: bytes, **more) -> dict:
    given = parameters(kms, key_id)
    wrapped = openssl.encrypt(given["PublicKey"], material, "sha256")
    more.setdefault("ExpirationModel", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    return kms.import_key_material(KeyId=key_id, ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped, **more)


def state(kms, key_id: str) -> str:
    return kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]


def test_material_comes_goes_and_comes_back(kms, openssl):
    key = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]
    assert (key["KeyState"], key["Enabled"], key["Origin"]) == ("PendingImport", False, "EXTERNAL")
    with refused("KMSInvalidStateException", f"{key['Arn']} is pending import."):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")

    material = os.urandom(32)
    brought = bring(kms, openssl, key["KeyId"], material)
    assert brought["KeyId"] == key["Arn"]
    described = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
    assert (described["KeyState"], described["ExpirationModel"]) == ("Enabled", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    assert described["CurrentKeyMaterialId"] == brought["KeyMaterialId"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello")["CiphertextBlob"]

    kms.delete_imported_key_material(KeyId=key["KeyId"])
    assert state(kms, key["KeyId"]) == "PendingImport"
    with refused("KMSInvalidStateException", "is pending import."):
        kms.decrypt(CiphertextBlob=blob)
    with refused("IncorrectKeyMaterialException"):
        bring(kms, openssl, key["KeyId"], os.urandom(32))
    bring(kms, openssl, key["KeyId"], material)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"hello"


@pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"])
@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_4096"])
def test_each_way_of_wrapping(kms, openssl, algorithm, spec):
    key_id = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    given = parameters(kms, key_id, algorithm, spec)
    assert timedelta(hours=23) < given["ParametersValidTo"] - datetime.now(timezone.utc) < timedelta(hours=25)
    digest = "sha1" if algorithm.endswith("SHA_1") else "sha256"
    material = os.urandom(32)
    if algorithm.startswith("RSAES"):
        wrapped = openssl.encrypt(given["PublicKey"], material, digest)
    else:
        once = os.urandom(32)
        wrapped = openssl.encrypt(given["PublicKey"], once, digest) + openssl.wrap(once, material)
    kms.import_key_material(
        KeyId=key_id, ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped,
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )  # fmt: skip
    assert state(kms, key_id) == "Enabled"


def test_a_token_is_for_one_key_and_one_wrapping_key(kms, openssl):
    one, other = (kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"] for _ in range(2))
    given, later = parameters(kms, one), parameters(kms, one)
    wrapped = openssl.encrypt(given["PublicKey"], os.urandom(32), "sha256")
    for key_id, token, code in [
        (other, given["ImportToken"], "InvalidImportTokenException"),
        (one, b"nonsense", "InvalidImportTokenException"),
        (one, later["ImportToken"], "InvalidCiphertextException"),
    ]:
        with refused(code):
            kms.import_key_material(
                KeyId=key_id, ImportToken=token, EncryptedKeyMaterial=wrapped, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE"
            )  # fmt: skip
    ours = kms.create_key()["KeyMetadata"]["Arn"]
    with refused("UnsupportedOperationException", f"{ours} origin is AWS_KMS which is not valid for this operation."):
        parameters(kms, ours)


def test_a_private_key_is_brought(kms, openssl):
    private = openssl.run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER")
    private = openssl.run("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-in", private, "-outform", "DER")
    public = openssl.run("pkey", "-inform", "DER", "-in", private, "-pubout", "-outform", "DER")
    key_id = kms.create_key(Origin="EXTERNAL", KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    given = parameters(kms, key_id, "RSA_AES_KEY_WRAP_SHA_256")
    once = os.urandom(32)
    wrapped = openssl.encrypt(given["PublicKey"], once, "sha256") + openssl.wrap(once, private)
    kms.import_key_material(
        KeyId=key_id, ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped,
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )  # fmt: skip
    assert kms.get_public_key(KeyId=key_id)["PublicKey"] == public
    signed = kms.sign(KeyId=key_id, Message=b"m", SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256")["Signature"]
    assert openssl.verifies(public, signed, b"m", "-sha256")


def test_a_second_material_is_made_current_by_a_rotation(kms, openssl):
    key_id = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    first = bring(kms, openssl, key_id, os.urandom(32))["KeyMaterialId"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"old")["CiphertextBlob"]
    with refused("KMSInvalidStateException", "No available key material pending rotation for the key"):
        kms.rotate_key_on_demand(KeyId=key_id)
    second = bring(kms, openssl, key_id, os.urandom(32), ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"] == first
    with refused("KMSInvalidStateException", "is pending rotation."):
        bring(kms, openssl, key_id, os.urandom(32), ImportType="NEW_KEY_MATERIAL")
    kms.rotate_key_on_demand(KeyId=key_id)
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"] == second
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"old"
    kms.delete_imported_key_material(KeyId=key_id, KeyMaterialId=first)
    assert state(kms, key_id) == "PendingImport"


def test_material_has_an_end(kms, openssl):
    key_id = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    with refused("ValidationException", "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"):
        bring(kms, openssl, key_id, os.urandom(32), ExpirationModel="KEY_MATERIAL_EXPIRES")
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=3)
    bring(kms, openssl, key_id, os.urandom(32), ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=until)
    described = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    assert (described["ExpirationModel"], described["ValidTo"]) == ("KEY_MATERIAL_EXPIRES", until)
