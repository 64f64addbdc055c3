"""offline.py - `check` without a broker: what it says of files, directories, certificates, rotation and space."""
import os
import re
import shutil
import subprocess

import procs
from pki import Authority
from scenario import scenario, Skip

NOBODY = 65534
GOOD, PERMISSION, CONFIG = 0, 77, 78
HERE = "127.0.0.1:1"


def checked(agent, expect):
    rc, out, err = procs.run([agent.binary, "check", "-c", agent.config])
    text = (out + err).decode(errors="replace")
    assert rc == expect, f"ended with {rc}, not {expect}:\n{text}"
    return text


def says(text, kind, *words):
    found = [line for line in text.splitlines() if line.startswith(kind + ":") and all(w in line for w in words)]
    assert len(found) == 1, f"{len(found)} lines of kind {kind} say {words}:\n{text}"


def owned(t, name, owner=NOBODY, mode=0o700):
    path = t.path(name)
    os.mkdir(path, mode)
    os.chown(path, owner, owner)
    return path


@scenario(core=True, needs_root=True)
def check_looks_with_the_rights_of_the_service(t):
    """As root, with a state directory of another user: what that one cannot read is 77, with who denies it and what to do."""
    os.chmod(t.dir, 0o755)
    state = owned(t, "state")
    ours = t.file("app.log", b"line\n")
    agent = t.agent(HERE, "web", state_dir=state)
    text = checked(agent, GOOD)
    says(text, "ok", "user: files are looked at with the rights of")
    os.chmod(ours, 0o600)
    says(checked(agent, PERMISSION), "error", f"{ours}: cannot be read (permissions)", "belongs to root:root, mode 0600: setfacl -m u:")
    os.chown(ours, 0, 4)
    os.chmod(ours, 0o640)
    says(checked(agent, PERMISSION), "error", f"{ours}: cannot be read", "SupplementaryGroups=")
    os.chmod(ours, 0o644)
    os.chmod(t.logs, 0o700)
    says(checked(agent, PERMISSION), "error", f"{t.logs} belongs to root:root, mode 0700")
    os.chmod(t.logs, 0o755)
    os.chmod(agent.config, 0o600)
    says(checked(agent, CONFIG), "error", f"configuration: {agent.config}: cannot read the configuration: Permission denied")
    os.chmod(agent.config, 0o644)
    agent.settings["include"] = [t.path("more.yaml")]
    agent.write_config()
    with open(t.path("more.yaml"), "w") as f:
        f.write(f"log: {{ level: '${{file:{t.path('level')}}}' }}\n")
    with open(t.path("level"), "w") as f:
        f.write("info\n")
    checked(agent, GOOD)
    os.chmod(t.path("level"), 0o600)
    says(checked(agent, CONFIG), "error", f"{t.path('more.yaml')}:1:15:", "Permission denied")
    os.chmod(t.path("more.yaml"), 0o600)
    says(checked(agent, CONFIG), "error", f"configuration: {t.path('more.yaml')}: cannot be read", "Permission denied")
    os.remove(t.path("more.yaml"))
    del agent.settings["include"]
    os.chown(state, 0, 0)
    other = t.agent(HERE, "web", name="other", state_dir=os.path.join(owned(t, "theirs", owner=0), "state"))
    text = checked(other, GOOD)
    assert "state_dir" in text, text


@scenario()
def check_looks_at_certificates(t):
    """One that ends soon: a warning; one that expired, a key of another certificate, a file that is none: 78."""
    ca = Authority(t.path("pki"))
    t.file("app.log", b"line\n")
    conf = {"security.protocol": "SSL", "ssl.truststore.location": ca.path}
    soon, expired, other = ca.leaf("soon", san=None), ca.leaf("old", san=None, expired=True), ca.leaf("other", san=None)

    def with_(name, **more):
        return t.agent(HERE, "web", producer={**conf, **{k.replace("_", "."): v for k, v in more.items()}}, name=name)

    os.chmod(soon, 0o600)
    text = checked(with_("soon", ssl_keystore_location=soon), GOOD)
    assert re.search(r"^warning: ssl\.keystore\.\*: the certificate of soon expires in (19|20) days", text, re.M), text
    os.chmod(soon, 0o644)
    says(checked(with_("open", ssl_keystore_location=soon), GOOD), "warning", "everybody may read it (mode 0644)", "chmod o-rwx")
    says(checked(with_("old", ssl_keystore_location=expired), CONFIG), "error", "this client's own certificate expired at 2020-02-01")
    mixed = with_("mixed", ssl_certificate_location=soon, ssl_key_location=other)
    says(checked(mixed, CONFIG), "error", "the private key does not belong to the certificate")
    says(checked(with_("none", ssl_truststore_location=t.file("empty.pem", b"nothing\n")), CONFIG), "error", "no certificate in it")


@scenario(needs_root=True)
def check_compares_the_spool_with_the_disk(t):
    """A state directory on eight MiB: max_size and min_free do not fit."""
    small = t.tmpfs("small", "8m")
    t.file("app.log", b"line\n")
    agent = t.agent(HERE, "web", state_dir=os.path.join(small, "state"), spool={"max_size": "100MiB", "min_free": "1MiB"})
    says(checked(agent, GOOD), "warning", "spool", "8.0 MiB free", "the spool is full at 7.0 MiB")
    agent = t.agent(HERE, "web", state_dir=os.path.join(small, "state"), name="full", spool={"max_size": "1MiB", "min_free": "9MiB"})
    says(checked(agent, GOOD), "warning", "spool", "nothing can be spooled")


@scenario(needs_root=True)
def check_points_out_copytruncate(t):
    """With an /etc of its own: the rule's file and line, what is lost, and what to write instead."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        raise Skip("no mount namespaces")
    ours = t.file("app.log", b"line\n")
    agent = t.agent(HERE, "web")
    rules = t.path("logrotate.conf")
    with open(rules, "w") as f:
        f.write(f"weekly\ninclude /etc/logrotate.d\n{ours} {{\n\tcopytruncate\n}}\n")
    script = 'mount -t tmpfs none /etc && cp "$1" /etc/logrotate.conf && exec "$2" check -c "$3"'
    rc, out, _ = procs.run(["unshare", "-m", "sh", "-c", script, "sh", rules, agent.binary, agent.config])
    text = out.decode(errors="replace")
    assert rc == GOOD, f"{rc}: {text}"
    says(text, "warning", "/etc/logrotate.conf:3: copytruncate", ours, "rotate it with create instead")
