"""OpenSSL, which knows nothing of Coffer: what both agree on is right."""

import subprocess
from pathlib import Path


class OpenSsl:
    """Runs the command in a directory of its own; arguments that are bytes become files there."""

    def __init__(self, place: Path):
        self.place = place
        self.files = 0

    def file(self, content: bytes) -> str:
        self.files += 1
        path = self.place / f"{self.files}"
        path.write_bytes(content)
        return str(path)

    def run(self, *words: str | bytes) -> bytes:
        done = self.tried(*words)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def tried(self, *words: str | bytes) -> subprocess.CompletedProcess:
        words = [self.file(word) if isinstance(word, bytes) else word for word in words]
        return subprocess.run(["openssl", *words], capture_output=True, check=False, timeout=60)

    def verifies(self, public_key: bytes, signature: bytes, message: bytes, *options: str) -> bool:
        done = self.tried(
            "dgst", *options, "-keyform", "DER", "-verify", public_key, "-signature", signature, self.file(message)
        )  # fmt: skip
        return done.returncode == 0

    def encrypt(self, public_key: bytes, plaintext: bytes, digest: str) -> bytes:
        """RSA-OAEP."""
        return self.run(
            "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", public_key, "-in", plaintext,
            "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", f"rsa_oaep_md:{digest}", "-pkeyopt", f"rsa_mgf1_md:{digest}",
        )  # fmt: skip

    def wrap(self, key: bytes, content: bytes) -> bytes:
        """AES key wrap with padding."""
        return self.run("enc", "-id-aes256-wrap-pad", "-iv", "A65959A6", "-K", key.hex(), "-in", content)
