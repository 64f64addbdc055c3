"""clean_root.py - what an administrator does with the packages, from installation to purge, in a clean Debian 12.

systemd is not process 1 there: root.py's stand-in starts what the unit starts, as its user and groups, and is asked by the
real maintainer scripts. The broker is a real Kafka on loopback. The tests go on where the one before ended.
"""
import os
import re

import oracle
import procs
from root import Machine, command
from shared import test

CONFIG = "/etc/spillway/spillway.yaml"
STATE = "/var/lib/spillway"
# The four lines that an administrator adds.
FOUR_LINES = """inputs:
  - {{ paths: [{paths}], topic: {topic} }}
producer:
  bootstrap.servers: {brokers}
"""


def configure(machine, topic, brokers, paths="/var/log/app/*.log"):
    """As an editor does it: the file stays the same one, with its owner."""
    with open(machine.path(CONFIG), "w") as f:
        f.write(FOUR_LINES.format(paths=paths, topic=topic, brokers=brokers))


class Load:
    """An application that logs into /var/log/app of the machine, readable for the group adm alone."""

    def __init__(self, world, name):
        machine = world.machine()
        self.folder = machine.path("/var/log/app")
        os.makedirs(self.folder, exist_ok=True)
        adm = int(re.search(r"^adm:x:(\d+)", machine.read("/etc/group"), re.M)[1])
        os.chown(self.folder, 0, adm)
        os.chmod(self.folder, 0o2750)
        self.run = f"pkg{name}"
        self.ledger = oracle.Ledger(os.path.join(world.work, f"ledger.{name}"))
        lines = oracle.Lines(self.run)
        self.writers = [self._writer(lines, self.folder, f"{name}{i}") for i in range(2)]
        # Of a service that nobody has configured yet; the glob of the others does not reach into its folder.
        self.late = self._writer(lines, os.path.join(self.folder, "late"), f"{name}late")

    def _writer(self, lines, folder, name):
        w = oracle.Writer(lines, self.ledger, os.path.join(folder, f"{name}.log"), name)
        os.fchmod(w.fd, 0o640)
        return w

    def expect_all(self, broker, topic):
        got = oracle.judge(self.run, oracle.Ledger.load(self.ledger.path), oracle.triples(oracle.consume(broker.address, topic)))
        assert got.good and got.records, str(got)

    def close(self):
        for w in [*self.writers, self.late]:
            w.close()


def newer(world, version, configuration=""):
    """The same package again with a higher version; `configuration` is new in the shipped one."""
    tree, out = (os.path.join(world.work, f"spillway_{version}{end}") for end in ("", ".deb"))
    if os.path.exists(out):
        return out
    command("dpkg-deb", "-R", world.debs()[0], tree)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control) as f:
        text = f.read()
    with open(control, "w") as f:
        f.write(re.sub(r"^Version: .*", f"Version: {version}", text, flags=re.M))
    with open(tree + CONFIG, "a") as f:
        f.write(configuration)
    command("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, out)
    return out


def newer_configuration(world):
    return newer(world, "0.1.2-1", "# Shipped with the newer version.\n")


@test(needs_root=True)
def apt_installs_the_package_in_a_clean_debian(world):
    """User, groups, folders, owners and modes are there; the service is enabled, and not started before it is configured."""
    m = world.machine()
    m.boot()
    m.apt_install(world.debs()[0])
    groups = m.run("id", "-nG", "spillway").split()
    assert groups[0] == "spillway" and {"adm", "systemd-journal"} <= set(groups), groups
    assert m.owner(CONFIG) == ("root", "spillway", "640")
    assert m.owner("/etc/spillway") == ("root", "spillway", "750")      # drop-ins may have passwords, too
    assert m.owner("/etc/spillway/conf.d") == ("root", "root", "755")
    assert m.owner(STATE) == ("spillway", "spillway", "700")
    assert m.owner("/usr/bin/spillway") == ("root", "root", "755")
    assert os.path.lexists(m.path("/etc/systemd/system/multi-user.target.wants/spillway.service"))
    calls = m.read("/var/log/systemctl.calls")
    assert not re.search(r"start spillway", calls), calls
    assert m.run("dpkg", "--verify", "spillway") == ""
    assert m.run("spillway", "version").startswith("spillway ")
    assert m.read("/usr/share/spillway/spillway.schema.json") == m.run("spillway", "schema")
    # Where manual pages and the unit say that they are.
    for name in ("guide.md", "examples/spillway.yaml", "examples/systemd/README.md", "examples/systemd/memory-max.conf"):
        assert m.read(f"/usr/share/doc/spillway/{name}"), name


@test(needs_root=True)
def the_shipped_configuration_says_what_it_lacks(world):
    """As the service's user, with the exit code after which systemd does not start it again and again."""
    m = world.machine()
    said = m.as_service("spillway", "check", "-c", CONFIG, expect=78)
    assert "inputs" in said and "producer" in said, said
    assert "not supported" not in said, said
    unit = m.read("/lib/systemd/system/spillway.service")
    assert re.search(r"^RestartPreventExitStatus=.*\b78\b", unit, re.M), unit
    assert "ExecStart=/usr/bin/spillway run" in unit and not re.search("@(BINDIR|SYSCONFDIR)@", unit), unit


@test(needs_root=True)
def nothing_is_lost_by_an_upgrade_under_load(world):
    """Four lines of configuration, start, a newer package and a reload while lines are written and files rotated: each line once."""
    m, kafka = world.machine(), world.broker()
    kafka.create_topic("packaged", 3)
    configure(m, "packaged", kafka.address)
    assert m.owner(CONFIG) == ("root", "spillway", "640")
    m.as_service("spillway", "check", "-c", CONFIG)
    load = Load(world, "up")
    feeder = oracle.Feeder(load.writers, lines_per_s=4000, rotate_every=2500)
    try:
        m.systemctl("start")
        answer = lambda: procs.until(m.status, 60, "the agent answers")                 # noqa: E731
        acked = lambda: answer()["records"]["acked"]                                    # noqa: E731
        procs.until(lambda: acked() > 4000, 60, "lines arrive")
        m.apt_install(newer(world, "0.1.1-1"))
        assert "try-restart spillway.service" in m.read("/var/log/systemctl.calls")
        assert m.read("/var/log/service.ends").split() == ["0"], m.service_log()[-1500:]
        before = acked()
        procs.until(lambda: acked() > before + 8000, 60, "the new one ships")
        load.late.write(5000)
        configure(m, "packaged", kafka.address, "/var/log/app/*.log, /var/log/app/late/*.log")
        m.systemctl("reload")
        before = acked()
        procs.until(lambda: acked() > before + 4000, 60, "it ships after a reload")
        procs.until(lambda: all(len(w.rotated) > 2 for w in load.writers), 60, "the files have been rotated")
        feeder.stop()
        procs.until(lambda: acked() >= load.ledger.total(), 120, "everything is acknowledged, also of the file that came late")
        m.systemctl("stop")
        assert m.read("/var/log/service.ends").split() == ["0", "0"], m.service_log()[-1500:]
    finally:
        feeder.stop()
    m.as_service("spillway", "run", "--once", "--timeout", "60s", "-c", CONFIG)        # what was put off would come twice now
    load.close()
    load.expect_all(kafka, "packaged")


@test(needs_root=True)
def an_upgrade_keeps_what_the_administrator_wrote(world):
    """The edited configuration, its owner and mode; a new one lies beside it. Where there is no new one nothing is asked."""
    m = world.machine()
    assert m.run("dpkg-query", "-W", "-f", "${Version}", "spillway") == "0.1.1-1"
    assert not os.path.exists(m.path(CONFIG + ".dpkg-dist"))
    m.apt_install(newer_configuration(world), options=["--force-confold"])
    assert "packaged" in m.read(CONFIG)
    assert m.owner(CONFIG) == ("root", "spillway", "640")
    assert "Shipped with the newer version" in m.read(CONFIG + ".dpkg-dist")
    assert m.run("dpkg-query", "-W", "-f", "${Version}", "spillway") == "0.1.2-1"


@test(needs_root=True)
def a_removal_keeps_state_and_configuration(world):
    """The service is stopped in order; a new installation goes on where it was."""
    m = world.machine()
    m.systemctl("start")
    procs.until(m.status, 60, "the agent answers")
    m.run("apt-get", "remove", "-y", "spillway")
    assert re.search(r"(^| )stop spillway", m.read("/var/log/systemctl.calls"), re.M), m.read("/var/log/systemctl.calls")
    assert m.read("/var/log/service.ends").split() == ["0"] * 3, m.service_log()[-1500:]
    assert os.path.exists(m.path(STATE + "/spool.db")) and "packaged" in m.read(CONFIG)
    assert not os.path.exists(m.path("/usr/bin/spillway"))


@test(needs_root=True)
def a_new_installation_goes_on_where_the_removed_one_was(world):
    """Nothing is read again."""
    m, kafka = world.machine(), world.broker()
    count = kafka.count("packaged")
    m.apt_install(world.debs()[0], options=["--force-confold"])
    assert m.owner(CONFIG) == ("root", "spillway", "640") and "packaged" in m.read(CONFIG)
    m.as_service("spillway", "run", "--once", "--timeout", "60s", "-c", CONFIG)
    assert kafka.count("packaged") == count


@test(needs_root=True)
def a_purge_deletes_state_and_configuration(world):
    """The user stays: its number must not become somebody else's."""
    m = world.machine()
    m.run("apt-get", "purge", "-y", "spillway")
    for gone in (STATE, "/etc/spillway", "/usr/bin/spillway", "/usr/share/doc/spillway",
                 "/etc/systemd/system/multi-user.target.wants/spillway.service"):
        assert not os.path.lexists(m.path(gone)), gone
    assert "spillway" in m.run("id", "spillway")


@test(needs_root=True)
def a_broken_off_installation_is_finished(world):
    """Its scripts failed half way; `dpkg --configure` gives the service's configuration to it all the same."""
    m = world.machine()
    m.run("dpkg", "--unpack", *m.take(world.debs()[0]))
    m.run("sh", "-c", "mv /usr/bin/systemd-sysusers /root && ! dpkg --configure spillway && mv /root/systemd-sysusers /usr/bin")
    m.run("dpkg", "--configure", "spillway")
    assert m.owner(CONFIG) == ("root", "spillway", "640") and m.owner("/etc/spillway") == ("root", "spillway", "750")
    assert m.run("dpkg-query", "-W", "-f", "${Status}", "spillway") == "install ok installed"


@test(needs_root=True)
def an_upgrade_brings_a_new_configuration_to_who_has_not_edited_it(world):
    """With the owner and mode that it had; a service that was disabled or never started stays so."""
    m = world.machine()
    m.run("systemctl", "--root=/", "disable", "spillway.service")
    m.write("/var/log/systemctl.calls", "")
    ends = m.read("/var/log/service.ends")
    m.apt_install(newer_configuration(world))
    assert "Shipped with the newer version" in m.read(CONFIG)
    assert m.owner(CONFIG) == ("root", "spillway", "640")
    assert not os.path.lexists(m.path("/etc/systemd/system/multi-user.target.wants/spillway.service"))
    assert m.read("/var/log/service.ends") == ends and m.status() is None


@test(needs_root=True)
def a_deleted_configuration_stays_deleted(world):
    """By upgrades; and the version before can be had back."""
    m = world.machine()
    m.apt_install(world.debs()[0])
    assert m.run("dpkg-query", "-W", "-f", "${Version}", "spillway") == "0.1.0-1"
    assert "newer" not in m.read(CONFIG)
    os.unlink(m.path(CONFIG))
    m.apt_install(newer(world, "0.1.1-1"))
    assert not os.path.exists(m.path(CONFIG))


@test(needs_root=True)
def a_purge_leaves_mount_points_and_what_is_not_its_own(world):
    """A disk of its own for the state is emptied, not unmounted; another state_dir, and drop-ins, are the administrator's."""
    m = world.machine()
    m.write("/etc/spillway/conf.d/mine.yaml", "inputs: []\n")
    m.write("/srv/mine/spool.db", "")
    m.run("sh", "-c", """set -e
        mkdir /srv/disk && mount --bind /srv/disk /var/lib/spillway && touch /var/lib/spillway/spool.db /var/lib/spillway/.lock
        apt-get purge -y spillway && mountpoint -q /var/lib/spillway""")
    assert os.listdir(m.path("/srv/disk")) == []
    assert os.path.exists(m.path("/srv/mine/spool.db")) and os.path.exists(m.path("/etc/spillway/conf.d/mine.yaml"))
    assert "spillway" not in m.run("dpkg-query", "-W", "-f", "${Package} ${Status}\n")
    m.run("rm", "-r", STATE, "/etc/spillway")


@test(needs_root=True)
def programs_link_with_the_library_package(world):
    """Header, archive, link and pkg-config file are where Debian has them, for this architecture."""
    m = world.machine()
    m.run("dpkg", "--force-depends", "-i", *m.take(*world.debs()[1:]))
    triplet = command("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip()
    pc = m.read(f"/usr/lib/{triplet}/pkgconfig/libspillway-producer.pc")
    assert f"libdir=/usr/lib/{triplet}" in pc and "prefix=/usr" in pc, pc
    env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": m.root, "PKG_CONFIG_PATH": m.path(f"/usr/lib/{triplet}/pkgconfig")}
    flags = command("pkg-config", "--cflags", "--libs", "libspillway-producer", env=env).split()
    source = os.path.join(world.work, "uses.c")
    with open(source, "w") as f:
        f.write("#include <spillway/producer.h>\nint main(void) { producer_config_free(producer_config_new()); return 0; }\n")
    command("gcc", "-Wall", "-Werror", source, "-o", m.path("/root/uses"), *flags)
    m.run("/root/uses")
    # Debian's own test of it, with this machine's compiler.
    library = os.path.join(world.work, "library")
    os.makedirs(library)
    os.symlink(m.path(f"/usr/lib/{triplet}/libspillway-producer.so.0"), os.path.join(library, "libspillway-producer.so.0"))
    script = os.path.join(procs.ROOT, "packaging", "debian", "tests", "library")
    said = command("sh", script, env={**env, "LD_LIBRARY_PATH": library})
    assert "a program was built with it" in said, said
    m.run("dpkg", "--purge", "libspillway-producer-dev", "libspillway-producer0")


@test(needs_root=True)
def the_tarball_ships_from_any_folder(world):
    """Unpacked by root somewhere, run by a user with nothing else of spillway installed."""
    m, kafka = world.machine(), world.broker()
    kafka.create_topic("unpacked")
    tar, = m.take(world.one("tarball", "*.tar.gz"))
    m.run("mkdir", "-p", "/srv/some where")
    m.run("tar", "-xf", tar, "-C", "/srv/some where", "--strip-components=1")
    load = Load(world, "tar")
    load.writers[0].write(5000)
    lines = FOUR_LINES.format(paths="/var/log/app/tar*.log", topic="unpacked", brokers=kafka.address)
    m.write("/srv/my.yaml", "state_dir: /srv/state\n" + lines, 0o644)
    m.run("install", "-d", "-o", "spillway", "/srv/state")
    m.as_service("/srv/some where/bin/spillway", "run", "--once", "--timeout", "60s", "-c", "/srv/my.yaml")
    load.close()
    load.expect_all(kafka, "unpacked")


@test(needs_root=True)
def the_rpm_is_installed_upgraded_and_erased(world):
    """As far as rpm goes on Debian: files, owners, scripts; the edited configuration is kept, and so is the state."""
    m, kafka = world.machine(), world.broker()
    m.run("userdel", "spillway")        # the purge left it: the rpm has to make its own
    kafka.create_topic("from-rpm")
    package = world.one("rpm", f"spillway-0*.{os.uname().machine}.rpm")
    rpm = lambda *argv: command("rpm", "--root", m.root, "--nodeps", "--force-debian", *argv, expect=None)  # noqa: E731
    said = rpm("-i", package)
    assert not re.search("error|failed|warning: (user|group)", said), said
    assert m.owner(CONFIG) == ("root", "spillway", "640") and m.owner(STATE) == ("spillway", "spillway", "700")
    assert m.owner("/etc/spillway") == ("root", "spillway", "750") and m.read("/usr/share/doc/spillway/guide.md")
    assert {"adm", "systemd-journal"} <= set(m.run("id", "-nG", "spillway").split())
    configure(m, "from-rpm", kafka.address, "/var/log/app/rpm*.log")
    load = Load(world, "rpm")
    load.writers[0].write(5000)
    m.as_service("spillway", "run", "--once", "--timeout", "60s", "-c", CONFIG)
    said = rpm("-U", "--force", package)
    assert not re.search("error|failed", said), said
    assert "from-rpm" in m.read(CONFIG)
    load.writers[0].write(5000)
    m.as_service("spillway", "run", "--once", "--timeout", "60s", "-c", CONFIG)
    load.close()
    load.expect_all(kafka, "from-rpm")
    rpm("-e", "spillway")
    assert not os.path.exists(m.path("/usr/bin/spillway")) and os.path.exists(m.path(STATE + "/spool.db"))
    assert "from-rpm" in m.read(CONFIG + ".rpmsave")


@test(needs_root=True)
def debians_own_test_of_the_installed_package_passes(world):
    """autopkgtest, as Debian's machines run it, in a clean root: the unit's exposure, the configurations, lines into the spool."""
    machine = Machine(os.path.join(world.work, "autopkgtest"))
    tree = os.path.join(world.work, "tree")
    os.makedirs(tree)
    command("cp", "-R", os.path.join(procs.ROOT, "packaging", "debian"), tree)
    try:
        command("unshare", "--mount", "--propagation", "private", "sh", "-c",
                'mount -t proc proc "$1/proc"; shift; exec "$@"', "sh", machine.root, "autopkgtest", "--test-name=installed",
                "--no-built-binaries", world.debs()[0], f"{tree}/", "--", "chroot", machine.root, timeout=1800)
    finally:
        machine.close()
