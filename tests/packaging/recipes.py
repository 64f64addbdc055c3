"""recipes.py - what can be seen without a container runtime or a cluster, and that the papers of the packages agree."""
import os
import re
import shutil

import yaml

import procs
from root import command
from shared import test

DOCKERFILE = os.path.join(procs.ROOT, "packaging", "container", "Dockerfile")
DAEMONSET = os.path.join(procs.ROOT, "packaging", "kubernetes", "daemonset.yaml")
SPILLWAY = os.path.join(procs.ROOT, "build", "release", "spillway")
# Kinds and the fields of theirs that an API server would refuse to go without.
NEEDED = {"Namespace": (), "ServiceAccount": (), "ConfigMap": ("data",), "DaemonSet": ("spec",)}


def text_of(*parts):
    with open(os.path.join(procs.ROOT, *parts)) as f:
        return f.read()


def instructions():
    """(word, rest) of each instruction of the Dockerfile, continued lines joined."""
    with open(DOCKERFILE) as f:
        text = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", f.read(), flags=re.M))
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


@test()
def one_version_is_in_all_papers(world):
    """The Makefile's version is that of Debian's changelog, of the rpm and of the image."""
    version = re.search(r"^VERSION := (\S+)", text_of("Makefile"), re.M)[1]
    assert re.match(rf"spillway \({re.escape(version)}-\d+\) ", text_of("packaging", "debian", "changelog"))
    spec = text_of("packaging", "rpm", "spillway.spec")
    assert f"version_of_spillway {version}" in spec and f"- {version}-1" in spec
    assert f"image: spillway:{version}" in text_of("packaging", "kubernetes", "daemonset.yaml")


@test()
def what_is_built_with_is_the_same_everywhere(world):
    """The Makefile's list, less what only tests link with, is Debian's, the image's and (by dnf's names) the rpm's."""
    wanted = set(re.search(r"DEPS_BUILD := ((?:.*\\\n)*.*)", text_of("Makefile"))[1].replace("\\", "").split()) - {"libsnappy-dev"}
    libraries = {d for d in wanted if d.startswith(("lib", "zlib"))} - {"libc6-dev"}
    debian = re.search(r"Build-Depends:\n((?: .*\n)+)", text_of("packaging", "debian", "control"))[1]
    assert {d.strip(" ,") for d in debian.splitlines()} - {"debhelper-compat (= 13)", "pkgconf"} == libraries
    image = next(rest for word, rest in instructions() if word == "RUN" and "apt-get install" in rest)
    assert set(image.split("--no-install-recommends")[1].split()) == wanted
    fedora = dict(re.findall(r"^(\S+) (\S+)$", text_of("packaging", "deps.sh").split("names='")[1].split("'")[0], re.M))
    spec = set(re.findall(r"^BuildRequires: +(\S+)", text_of("packaging", "rpm", "spillway.spec"), re.M))
    assert spec - {"systemd-rpm-macros"} == {fedora[d] for d in wanted - {"libc6-dev"}}


@test()
def the_image_copies_what_is_there_and_runs_as_nobody_special(world):
    """Each source of a COPY exists, the user is no root, the health check is a command."""
    for word, rest in instructions():
        if word == "COPY" and "--from=" not in rest:
            for source in rest.split()[:-1]:
                assert os.path.exists(os.path.join(procs.ROOT, source)), source
    said = dict((word, rest) for word, rest in instructions())          # the last of each, which is the last stage's
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", said["USER"]), said["USER"]
    check = yaml.safe_load(said["HEALTHCHECK"].split("CMD", 1)[1])
    assert check[0] == yaml.safe_load(said["ENTRYPOINT"])[0] == "/usr/bin/spillway"
    command(SPILLWAY, "help", check[1])
    copied = {rest.split()[-1] for word, rest in instructions() if word == "COPY"}
    assert {"/usr/bin/spillway", "/var/lib/spillway", "/etc/spillway"} <= copied, copied


@test()
def the_daemonset_hangs_together(world):
    """Mounts have volumes, probes have a port where something listens, no capability, no token, only the state is written."""
    parts = {}
    with open(DAEMONSET) as f:
        for one in yaml.safe_load_all(f):
            assert one["apiVersion"] in ("v1", "apps/v1") and one["metadata"]["name"] and set(NEEDED[one["kind"]]) <= set(one), one
            parts[one["kind"]] = one
    spec = parts["DaemonSet"]["spec"]
    pod = spec["template"]["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert parts["ServiceAccount"]["automountServiceAccountToken"] is False is pod["automountServiceAccountToken"]
    assert pod["serviceAccountName"] == parts["ServiceAccount"]["metadata"]["name"]
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert volumes["configuration"]["configMap"]["name"] == parts["ConfigMap"]["metadata"]["name"]
    for container in pod["initContainers"] + pod["containers"]:
        assert {m["name"] for m in container["volumeMounts"]} <= set(volumes), container["name"]
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"] and container["resources"]["limits"]["memory"]
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    agent, = pod["containers"]
    assert not agent["securityContext"]["capabilities"].get("add") and pod["securityContext"]["runAsNonRoot"]
    assert [m["name"] for m in agent["volumeMounts"] if not m.get("readOnly")] == ["state"]
    ports = {p["name"]: p["containerPort"] for p in agent["ports"]}
    for probe, path in (("livenessProbe", "/healthz"), ("startupProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert agent[probe]["httpGet"]["path"] == path and agent[probe]["httpGet"]["port"] in ports, probe
    conf = yaml.safe_load(parts["ConfigMap"]["data"]["spillway.yaml"])
    assert conf["metrics"]["listen"].endswith(f":{ports['metrics']}")
    mounts = [m["mountPath"] for m in agent["volumeMounts"]]
    assert all(any(path.startswith(m + "/") for m in mounts) for i in conf["inputs"] for path in i["paths"])
    assert {e["name"] for e in agent["env"]} == set(re.findall(r"env[:.](\w+)", parts["ConfigMap"]["data"]["spillway.yaml"]))


@test()
def the_daemonsets_configuration_is_a_good_one(world):
    """`spillway check` finds a node's containers by it, but for its own; with a key mistyped it ends with 78 and the place."""
    with open(DAEMONSET) as f:
        text = next(p for p in yaml.safe_load_all(f) if p["kind"] == "ConfigMap")["data"]["spillway.yaml"]
    pods = os.path.join(world.work, "node", "pods")
    for name in ("default_web-1_0c1d/web", "spillway_spillway-x2_77aa/spillway"):
        os.makedirs(os.path.join(pods, name))
        with open(os.path.join(pods, name, "0.log"), "w") as f:
            f.write("2026-01-01T00:00:00.000000000Z stdout F a line\n")
    text = f"state_dir: {world.work}/node/state\n" + text.replace("/var/log/pods", pods)
    env = {**os.environ, "KAFKA_BROKERS": "127.0.0.1:9092", "NODE_NAME": "node-1"}
    path = os.path.join(world.work, "node.yaml")
    with open(path, "w") as f:
        f.write(text)
    said = command(SPILLWAY, "check", "-c", path, env=env)
    assert "input pods: 1 file\n" in said, said
    # Its Service is the cluster's network: the one thing to be said of it.
    assert re.findall(r"^(?:warning|error): [\w.]+", said, re.M) == ["warning: metrics.listen"], said
    line = text[:text.index("format: cri")].count("\n") + 1
    with open(path, "w") as f:
        f.write(text.replace("format: cri", "formatt: cri"))
    said = command(SPILLWAY, "check", "-c", path, env=env, expect=78)
    assert f"{path}:{line}:" in said and "formatt" in said, said


@test()
def dnf_is_asked_for_what_the_makefile_names(world):
    """Where there is no apt-get every name is known, what is there is not asked for, what does not exist is said."""
    folder = os.path.join(world.work, "fedora")
    os.makedirs(folder)
    for name in ("sh", "sed", "id", "printf", "cat", "env"):
        os.symlink(shutil.which(name), os.path.join(folder, name))
    for name, script in (("dnf", 'echo "asked: $*"'), ("rpm", '[ "$2" = libyaml-devel ]'), ("sudo", '"$@"'), ("clang", "")):
        with open(os.path.join(folder, name), "w") as f:
            f.write(f"#!/bin/sh\n{script}\n")
        os.chmod(f.name, 0o755)
    named = re.findall(r"^DEPS_\w+ := ((?:.*\\\n)*.*)", text_of("Makefile"), re.M)
    wanted = " ".join(named).replace("\\", "").split()
    deps = os.path.join(procs.ROOT, "packaging", "deps.sh")
    said = command(os.path.join(folder, "sh"), deps, *wanted, env={"PATH": folder})
    asked = re.search("asked: (.*)", said)[1].split()
    assert {"install", "-y", "gcc", "sqlite-devel", "pkgconf-pkg-config", "java-headless", "rpm-build"} <= set(asked), asked
    assert not {"libyaml-devel", "clang", "-"} & set(asked), asked
    assert re.search("dnf has none of:.* blhc", said), said
    said = command(os.path.join(folder, "sh"), deps, "no-such-thing", env={"PATH": folder}, expect=1)
    assert "no name of dnf's for no-such-thing" in said, said
