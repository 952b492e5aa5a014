"""A cluster that gives its workloads tokens, made up as far as anybody outside can tell."""

import base64
import json
import time

import rsa

ISSUER = "https://kubernetes.default.svc.cluster.local"
ACCOUNT_OF_POD = "system:serviceaccount:prod:api"


class Cluster:
    """A Kubernetes cluster, as far as the outside can tell: it signs tokens of service accounts and publishes its keys."""

    def __init__(self):
        self.public, self._private = rsa.newkeys(2048)

    def keys(self) -> str:
        number = lambda value: encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))
        key = {"use": "sig", "kty": "RSA", "kid": "cluster-1", "alg": "RS256"}
        return json.dumps({"keys": [{**key, "n": number(self.public.n), "e": number(self.public.e)}]})

    def token(self, **changed) -> str:
        now = int(time.time())
        claims = {
            "aud": ["sts.amazonaws.com"], "exp": now + 3600, "iat": now, "iss": ISSUER, "nbf": now, "sub": ACCOUNT_OF_POD,
            "kubernetes.io": {"namespace": "prod", "pod": {"name": "api-0"}, "serviceaccount": {"name": "api"}},
        }  # fmt: skip
        header = {"alg": "RS256", "kid": "cluster-1"}
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, {**claims, **changed}))
        return f"{signed}.{encoded(rsa.sign(signed.encode(), self._private, 'SHA-256'))}"


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
