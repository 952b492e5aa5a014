"""Asymmetric keys through boto3, and through the AWS CLI, with OpenSSL on the other side."""

import hashlib
import shutil

import pytest

from expect import refused
from openssl import OpenSsl

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine")

PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
SIGNING = [
    ("RSA_2048", "RSASSA_PSS_SHA_256", "sha256", PSS),
    ("RSA_3072", "RSASSA_PSS_SHA_384", "sha384", PSS),
    ("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_512", "sha512", ()),
    ("ECC_NIST_P256", "ECDSA_SHA_256", "sha256", ()),
    ("ECC_NIST_P384", "ECDSA_SHA_384", "sha384", ()),
    ("ECC_NIST_P521", "ECDSA_SHA_512", "sha512", ()),
    ("ECC_SECG_P256K1", "ECDSA_SHA_256", "sha256", ()),
]


@pytest.fixture
def openssl(tmp_path):
    return OpenSsl(tmp_path)


@pytest.fixture(scope="module")
def kms(client_of):
    return client_of("kms")


def new_key(kms, spec: str, usage: str) -> dict:
    return kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]


@pytest.mark.parametrize(("spec", "algorithm", "digest", "options"), SIGNING)
def test_others_verify_what_a_key_signs(kms, openssl, spec, algorithm, digest, options):
    key = new_key(kms, spec, "SIGN_VERIFY")
    assert algorithm in key["SigningAlgorithms"]
    assert "EncryptionAlgorithms" not in key
    public = kms.get_public_key(KeyId=key["KeyId"])
    assert (public["KeySpec"], public["SigningAlgorithms"]) == (spec, key["SigningAlgorithms"])
    message = b"a message of some length"
    hashed = hashlib.new(digest, message).digest()
    for what in ({"Message": message}, {"Message": hashed, "MessageType": "DIGEST"}):
        signed = kms.sign(KeyId=key["Arn"], SigningAlgorithm=algorithm, **what)
        assert (signed["KeyId"], signed["SigningAlgorithm"]) == (key["Arn"], algorithm)
        signature = signed["Signature"]
        assert openssl.verifies(public["PublicKey"], signature, message, f"-{digest}", *options)
        assert not openssl.verifies(public["PublicKey"], signature, message + b".", f"-{digest}", *options)
        assert kms.verify(KeyId=key["KeyId"], Message=message, Signature=signature, SigningAlgorithm=algorithm)["SignatureValid"]
        with refused("KMSInvalidSignatureException"):
            kms.verify(KeyId=key["KeyId"], Message=message + b".", Signature=signature, SigningAlgorithm=algorithm)


def test_ed25519(kms, openssl):
    key = new_key(kms, "ECC_NIST_EDWARDS25519", "SIGN_VERIFY")
    public = kms.get_public_key(KeyId=key["KeyId"])["PublicKey"]
    signature = kms.sign(KeyId=key["KeyId"], Message=b"message", SigningAlgorithm="ED25519_SHA_512")["Signature"]
    done = openssl.tried(
        "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", public, "-rawin", "-in", b"message", "-sigfile", signature
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("algorithm", "digest", "most"), [("RSAES_OAEP_SHA_1", "sha1", 214), ("RSAES_OAEP_SHA_256", "sha256", 190)])
def test_a_key_opens_what_others_encrypt_for_it(kms, openssl, algorithm, digest, most):
    key = new_key(kms, "RSA_2048", "ENCRYPT_DECRYPT")
    assert set(key["EncryptionAlgorithms"]) == {"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}
    public = kms.get_public_key(KeyId=key["KeyId"])["PublicKey"]
    plaintext = b"x" * most
    ours = kms.encrypt(KeyId=key["KeyId"], Plaintext=plaintext, EncryptionAlgorithm=algorithm)
    assert (ours["KeyId"], ours["EncryptionAlgorithm"], len(ours["CiphertextBlob"])) == (key["Arn"], algorithm, 256)
    for blob in (ours["CiphertextBlob"], openssl.encrypt(public, plaintext, digest)):
        opened = kms.decrypt(KeyId=key["KeyId"], CiphertextBlob=blob, EncryptionAlgorithm=algorithm)
        assert (opened["Plaintext"], opened["EncryptionAlgorithm"]) == (plaintext, algorithm)
        damaged = bytes([blob[0] ^ 1]) + blob[1:]
        with refused("InvalidCiphertextException"):
            kms.decrypt(KeyId=key["KeyId"], CiphertextBlob=damaged, EncryptionAlgorithm=algorithm)
    with refused("ValidationException", f"Algorithm {algorithm} and key spec RSA_2048 cannot encrypt data larger than {most} bytes."):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=plaintext + b"x", EncryptionAlgorithm=algorithm)


@pytest.mark.parametrize("curve", ["P256", "P384", "P521"])
def test_a_key_agrees_with_somebody_outside(kms, openssl, curve):
    key = new_key(kms, f"ECC_NIST_{curve}", "KEY_AGREEMENT")
    assert key["KeyAgreementAlgorithms"] == ["ECDH"]
    ours = kms.get_public_key(KeyId=key["KeyId"])["PublicKey"]
    private = openssl.run("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:P-{curve[1:]}", "-outform", "DER")
    theirs = openssl.run("pkey", "-inform", "DER", "-in", private, "-pubout", "-outform", "DER")
    shared = kms.derive_shared_secret(KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH", PublicKey=theirs)
    assert shared["KeyOrigin"] == "AWS_KMS"
    expected = openssl.run(
        "pkeyutl", "-derive", "-keyform", "DER", "-inkey", private, "-peerform", "DER", "-peerkey", ours
    )  # fmt: skip
    assert shared["SharedSecret"] == expected


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"])
def test_key_pairs_for_use_elsewhere(kms, openssl, spec):
    key = kms.create_key()["KeyMetadata"]
    context = {"for": "a test"}
    pair = kms.generate_data_key_pair(KeyId=key["KeyId"], KeyPairSpec=spec, EncryptionContext=context)
    assert (pair["KeyId"], pair["KeyPairSpec"]) == (key["Arn"], spec)
    public = openssl.run("pkey", "-inform", "DER", "-in", pair["PrivateKeyPlaintext"], "-pubout", "-outform", "DER")
    assert public == pair["PublicKey"]
    opened = kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"], EncryptionContext=context)["Plaintext"]
    assert opened == pair["PrivateKeyPlaintext"]

    wrapped = kms.generate_data_key_pair_without_plaintext(KeyId=key["KeyId"], KeyPairSpec=spec)
    assert "PrivateKeyPlaintext" not in wrapped
    opened = kms.decrypt(CiphertextBlob=wrapped["PrivateKeyCiphertextBlob"])["Plaintext"]
    public = openssl.run("pkey", "-inform", "DER", "-in", opened, "-pubout", "-outform", "DER")
    assert public == wrapped["PublicKey"]


def test_a_key_is_for_one_thing(kms):
    with refused("ValidationException", "You must specify a KeyUsage value"):
        kms.create_key(KeySpec="RSA_2048")
    with refused("ValidationException", "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048"):
        new_key(kms, "RSA_2048", "KEY_AGREEMENT")
    signing = new_key(kms, "RSA_2048", "SIGN_VERIFY")["Arn"]
    with refused("InvalidKeyUsageException", f"{signing} key usage is SIGN_VERIFY which is not valid for Encrypt."):
        kms.encrypt(KeyId=signing, Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256")
    with refused("ValidationException", "Digest is invalid length for algorithm RSASSA_PSS_SHA_256."):
        kms.sign(KeyId=signing, Message=b"x", MessageType="DIGEST", SigningAlgorithm="RSASSA_PSS_SHA_256")
    with refused("UnsupportedOperationException"):
        kms.enable_key_rotation(KeyId=signing)
