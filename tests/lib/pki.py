"""pki.py - certificates and tokens for the tests, made by openssl when they are needed: a CA, leaves, JWTs and their JWKS."""
import base64
import json
import os
import subprocess
import time

_CA_CONF = """\
[ca]
default_ca = it
[it]
new_certs_dir = {dir}
database = {dir}/index
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


def _openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True, capture_output=True).stdout


def _b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Authority:
    """A CA in a directory of its own. `path` is its certificate."""

    def __init__(self, directory, name="test CA"):
        self.dir = directory
        os.makedirs(directory)
        self.path, self.key, self.conf = (os.path.join(directory, n) for n in ("ca.pem", "ca.key", "ca.conf"))
        _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.path, "-subj", f"/CN={name}",
                 "-days", "30")
        with open(self.conf, "w") as f:
            f.write(_CA_CONF.format(dir=directory))
        open(os.path.join(directory, "index"), "w").close()

    def leaf(self, name, san="DNS:localhost,IP:127.0.0.1", expired=False):
        """A certificate and its key in one PEM file, as Kafka wants it. Returns the path."""
        path, key, csr = (os.path.join(self.dir, f"{name}.{x}") for x in ("pem", "key", "csr"))
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", csr, "-subj", f"/CN={name}",
                 *(["-addext", f"subjectAltName={san}"] if san else []))
        dates = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if expired else ["-days", "20"]
        _openssl("ca", "-batch", "-notext", "-config", self.conf, "-cert", self.path, "-keyfile", self.key, "-in", csr, "-out",
                 path, *dates)
        with open(path, "ab") as f:
            f.write(open(key, "rb").read())
            f.write(open(self.path, "rb").read())
        return path


class Issuer:
    """Signs JWTs; `jwks` is the file that a broker checks them with."""

    def __init__(self, directory):
        self.key, self.jwks = os.path.join(directory, "jwt.key"), os.path.join(directory, "jwks.json")
        _openssl("genrsa", "-out", self.key, "2048")
        modulus = _openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().partition("=")[2]
        with open(self.jwks, "w") as f:
            json.dump({"keys": [{"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "e": "AQAB",
                                 "n": _b64(bytes.fromhex(modulus))}]}, f)

    def token(self, subject="alice", lives=3600):
        now = int(time.time())
        parts = [{"alg": "RS256", "typ": "JWT", "kid": "k1"},
                 {"sub": subject, "iss": "tests", "aud": "kafka", "scope": "produce", "iat": now - 5, "exp": now + lives}]
        text = ".".join(_b64(json.dumps(p).encode()) for p in parts)
        return f"{text}.{_b64(_openssl('dgst', '-sha256', '-sign', self.key, data=text.encode()))}"
