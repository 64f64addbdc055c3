"""built.py - the packages as files: what their linters say, how they are hardened, and that they are the same every time."""
import hashlib
import os
import re
import tarfile

import procs
from root import command
from shared import test

LIBC = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def files_of(folder, *endings):
    return sorted(f for f in os.listdir(folder) if f.endswith(endings))


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def same_twice(world, kind, *endings):
    first, again = world.built(kind), world.built(kind, again=True)
    names = files_of(first, *endings)
    assert names and names == files_of(again, *endings), (names, files_of(again, *endings))
    differ = [n for n in names if digest(os.path.join(first, n)) != digest(os.path.join(again, n))]
    assert not differ, f"not the same bytes: {differ}"


def shared_library(world):
    triplet = command("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip()
    return unpacked(world, world.debs()[1], f"usr/lib/{triplet}/libspillway-producer.so.0")


def unpacked(world, package, name):
    """A file of a deb, as a path."""
    folder = os.path.join(world.work, os.path.basename(package) + ".d")
    if not os.path.exists(folder):
        command("dpkg-deb", "-x", package, folder)
    return os.path.join(folder, name)


@test()
def lintian_has_nothing_to_say_of_the_debian_packages(world):
    """No error, no warning; what is overridden has its reason beside it."""
    changes = [os.path.join(world.built("deb"), n) for n in files_of(world.built("deb"), ".changes")]
    said = command("lintian", "--allow-root", "--fail-on", "error,warning", *changes, expect=None)
    words = [line for line in said.splitlines() if re.match("[EW]: ", line)]
    assert not words, "\n".join(words)


@test()
def every_debian_compilation_is_hardened(world):
    """blhc finds all flags of hardening=+all in the build's log, hardening-check what they do in the programs."""
    log = os.path.join(world.built("deb"), "deb.log")
    said = command("blhc", "--all", log, expect=None)
    assert not said.strip(), said[-2000:]
    # Debian 12's own start-up code is not marked for control flow protection, so no program there can be.
    command("hardening-check", "--nocfprotection", unpacked(world, world.debs()[0], "usr/bin/spillway"), shared_library(world))


@test()
def debian_packages_are_the_same_bytes_whoever_builds_them(world):
    """Another user, folder, time zone, umask and home, and other times of the files, make no difference."""
    same_twice(world, "deb", ".deb")


@test()
def the_shared_library_has_the_symbols_of_its_header_and_no_others(world):
    """What the package's symbols file promises to programs is what producer.h declares."""
    with open(os.path.join(procs.ROOT, "producer", "producer.h")) as f:
        code = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    declared = set(re.findall(r"\b(producer_[a-z_]+)\(", code))
    shown = set(re.findall(r" T (producer_\w+)@@SPILLWAY_PRODUCER_0", command("nm", "-D", "--defined-only", shared_library(world))))
    assert shown and shown <= declared, shown - declared


@test()
def rpmlint_has_nothing_to_say_of_the_rpms(world):
    """No error, no warning, but those that packaging/rpm/rpmlint.toml gives reasons for."""
    folder = world.built("rpm")
    where = os.path.join(procs.ROOT, "packaging", "rpm")
    said = command("rpmlint", "-c", os.path.join(where, "rpmlint.toml"), os.path.join(where, "spillway.spec"),
                   *[os.path.join(folder, n) for n in files_of(folder, ".rpm")], expect=None)
    assert "0 errors, 0 warnings" in said, said[-3000:]


@test()
def an_rpm_asks_systemd_for_what_a_debian_package_asks_for(world):
    """Enabled as the distribution presets, stopped by a removal, restarted after an upgrade if it ran; user before files."""
    agent = world.one("rpm", f"spillway-0*.{os.uname().machine}.rpm")
    scripts = command("rpm", "-qp", "--scripts", agent)
    for part in (r"preinstall.*useradd --system", r"preset spillway\.service", r"disable --now spillway\.service",
                 r"try-restart spillway\.service"):
        assert re.search(part, scripts, re.S), (part, scripts)
    assert command("rpm", "-qp", "--configfiles", agent).split() == ["/etc/spillway/spillway.yaml"]
    form = "[%{FILENAMES} %{FILEFLAGS:fflags} %{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME}\n]"
    flags = command("rpm", "-qp", "--queryformat", form, agent)
    assert "/etc/spillway/spillway.yaml cn -rw-r----- root:spillway" in flags, flags
    assert re.search(r"/var/lib/spillway +drwx------ spillway:spillway", flags), flags


@test()
def rpms_are_the_same_bytes_whoever_builds_them(world):
    """Another folder, time zone, umask and home, and other times of the files, make no difference."""
    same_twice(world, "rpm", ".rpm")


@test()
def the_tarball_needs_glibc_alone(world):
    """Every other library is inside the program; whoever unpacks it owns no more than its files."""
    path = world.one("tarball", "*.tar.gz")
    with tarfile.open(path) as tar:
        odd = [m.name for m in tar if m.uid or m.gid or m.mode & 0o7022]
        program = next(m for m in tar if m.name.endswith("bin/spillway"))
        with open(os.path.join(world.work, "static"), "wb") as f:
            f.write(tar.extractfile(program).read())
    assert not odd, odd
    os.chmod(f.name, 0o755)
    needs = set(re.findall(r"NEEDED\) +Shared library: \[(.*?)\]", command("readelf", "-d", f.name)))
    assert needs and needs <= LIBC, needs - LIBC
    assert "sqlite" in command(f.name, "version")
