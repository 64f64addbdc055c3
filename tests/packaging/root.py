"""root.py - a clean Debian 12 in a folder, and the little of a machine that packages need of it.

The root is made by debootstrap once, with what the packages depend on downloaded into it, and kept in build/; each Machine
is a copy. There is no systemd as process 1 in it: a few lines of shell stand in for it, started for real maintainer scripts
that call `systemctl`, in a process namespace that ends with the test run. They start what the unit starts, as its user.

Needs root: chroot, mounts in a namespace of its own, users.
"""
import hashlib
import json
import os
import shutil

import procs

BASE = os.path.join(procs.ROOT, "build", "packaging", "root")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENV = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "TERM": "dumb"}
CONFIG = "/etc/spillway/spillway.yaml"
SERVICE = f"/usr/bin/spillway run -c {CONFIG}"

# Mounts and processes of their own, which end with the run, also when it is killed: debootstrap, too, mounts /proc.
APART = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
MOUNT = 'mount -t proc proc "$1/proc" && mount --bind /sys "$1/sys"'
ENTER = [*APART, "sh", "-c", MOUNT + ' && chroot "$@"; exit $?', "sh"]
BOOT = [*APART, "sh", "-c", MOUNT + ' && exec chroot "$@"', "sh"]

# Asked by lines "VERB FILE"; makes FILE when it is done. Process 1 of its namespace, so all that it started ends with it.
INIT = """#!/bin/sh
mkdir -p /run/systemd/system
rm -f /run/ask && mkfifo /run/ask && exec 3<>/run/ask
pid=
start() {
	setpriv --reuid spillway --regid spillway --init-groups """ + SERVICE + """ >>/var/log/service.log 2>&1 3>&- &
	pid=$!
}
stop() {
	kill -TERM "$pid" && wait "$pid"
	echo "$?" >>/var/log/service.ends
	pid=
}
: >/run/init.ready
while read -r verb answer <&3; do
	case $verb in
	start) [ -n "$pid" ] || start ;;
	stop) [ -z "$pid" ] || stop ;;
	restart) [ -z "$pid" ] || stop; start ;;
	try-restart) [ -z "$pid" ] || { stop; start; } ;;
	reload) [ -z "$pid" ] || kill -HUP "$pid" ;;
	esac
	: >"$answer"
done
"""

SYSTEMCTL = """#!/bin/sh
echo "$*" >>/var/log/systemctl.calls
# What is about files and not about processes, as enabling is, the real one can do.
case "$*" in *--root=*) exec /bin/systemctl.distrib "$@" ;; esac
for word; do
	case $word in
	start|stop|restart|try-restart|reload)
		answer=/run/answer.$$
		echo "$word $answer" >/run/ask
		until [ -e "$answer" ]; do sleep 0.05; done
		rm -f "$answer"
		exit 0 ;;
	esac
done
exit 0
"""


def command(*argv, timeout=300, expect=0, **more):
    """Runs to the end; returns stdout and stderr as one text. Another exit code than `expect` is an error with its words."""
    rc, out, err = procs.run([str(a) for a in argv], timeout=timeout, **more)
    text = (out + err).decode(errors="replace")
    assert expect is None or rc == expect, f"{' '.join(map(str, argv))[:300]} ended with {rc}:\n{text[-3000:]}"
    return text


def mirror():
    """Where this machine's own packages come from, if it is a Debian 12."""
    said = command("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm", expect=None)
    found = [line for line in said.split() if line.startswith(("http://", "https://"))]
    return os.environ.get("DEBIAN_MIRROR") or (found or ["http://deb.debian.org/debian"])[0]


def make_base(debs):
    """The clean root, with the packages that `debs` and the tests need in its cache. Made again when those needs change."""
    needs = command("dpkg-deb", "-f", debs[0], "Depends")
    source = mirror()
    want = hashlib.sha256((needs + source).encode()).hexdigest()
    stamp = os.path.join(BASE, ".complete")
    if os.path.exists(stamp) and open(stamp).read() == want:
        return
    command("rm", "-rf", "--one-file-system", BASE)
    os.makedirs(os.path.dirname(BASE), exist_ok=True)
    command(*APART, "debootstrap", "--variant=minbase", "bookworm", BASE, source, timeout=1800)
    # What a mirror has is as old as it is, and this machine's clock may be wrong.
    command("chroot", BASE, "apt-get", "update", "-o", "Acquire::Check-Valid-Until=false", "-o", "Acquire::Check-Date=false",
            env=ENV, timeout=900)
    for deb in debs:
        shutil.copy(deb, os.path.join(BASE, "root"))
    names = [f"/root/{os.path.basename(d)}" for d in debs]
    command("chroot", BASE, "apt-get", "install", "-y", "--no-install-recommends", "--download-only",
            "-o", "APT::Keep-Downloaded-Packages=true", *names, env=ENV, timeout=900)
    for name in names:
        os.unlink(BASE + name)
    with open(stamp, "w") as f:
        f.write(want)


class Machine:
    """A copy of the clean root."""

    def __init__(self, directory):
        self.root = directory
        self.init = None
        command("cp", "-a", "--reflink=auto", BASE, directory)

    def path(self, name):
        return self.root + name

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def write(self, name, text, mode=None):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)
        if mode is not None:
            os.chmod(self.path(name), mode)

    def run(self, *argv, timeout=600, expect=0):
        return command(*ENTER, self.root, *argv, timeout=timeout, expect=expect, env=ENV)

    def as_service(self, *argv, **how):
        return self.run("setpriv", "--reuid", "spillway", "--regid", "spillway", "--init-groups", *argv, **how)

    def take(self, *files):
        """Copies files into /root; returns their names there."""
        for f in files:
            shutil.copy(f, self.path("/root"))
        return [f"/root/{os.path.basename(f)}" for f in files]

    def apt_install(self, *debs, options=()):
        """Nobody is there to be asked: a question about configuration that dpkg's options do not answer is a failure."""
        told = [word for o in options for word in ("-o", f"Dpkg::Options::={o}")]
        return self.run("apt-get", "install", "-y", "--no-install-recommends", "--allow-downgrades", *told, *self.take(*debs))

    def owner(self, name):
        """(user, group, octal mode) as the root's own passwd names them."""
        user, group, mode = self.run("stat", "-c", "%U %G %a", name).split()
        return user, group, mode

    # --- the stand-in for systemd

    def boot(self):
        self.write("/root/init", INIT, 0o755)
        self.run("dpkg-divert", "--local", "--rename", "--add", "/bin/systemctl")       # apt looks nowhere else
        self.write("/bin/systemctl", SYSTEMCTL, 0o755)
        self.write("/var/log/systemctl.calls", "")
        with open(self.path("/var/log/init.log"), "wb") as log:
            self.init = procs.spawn([*BOOT, self.root, "/root/init"], stdout=log, stderr=log, env=ENV)
        procs.until(lambda: os.path.exists(self.path("/run/init.ready")), 60, "the machine is up", alive=self._alive)

    def _alive(self):
        if self.init.poll() is not None:
            raise RuntimeError(f"the stand-in for systemd ended: {self.read('/var/log/init.log')}")

    def systemctl(self, verb):
        self.run("systemctl", verb, "spillway.service", timeout=300)

    def status(self):
        """The agent's, or None while there is no answer."""
        rc, out, _ = procs.run(["chroot", self.root, "/usr/bin/spillway", "status", "--json", "-c", CONFIG], env=ENV)
        return json.loads(out) if rc == 0 else None

    def service_log(self):
        try:
            return self.read("/var/log/service.log")
        except OSError:
            return ""

    def close(self):
        if self.init is not None and self.init.poll() is None:
            self.init.kill()
            self.init.wait()
        self.init = None
        shutil.rmtree(self.root, ignore_errors=True)
