#!/bin/sh
# deps.sh PACKAGE... - installs those packages that are missing; silent and quick when none is. They are given by Debian's
# names; where dnf is at home, by the names below.
# A program that is there already by other means (a JDK, Maven) counts as its package.
set -eu

# Debian's name and Fedora's, EL's with CRB and EPEL; "-": there is none, and what needs it says so.
names='
autopkgtest -
blhc -
chromium chromium
clang clang
cppcheck cppcheck
debhelper debhelper
debootstrap debootstrap
default-jre-headless java-headless
devscripts devscripts
fakeroot fakeroot
gcc gcc
kcat kcat
libc6-dev glibc-devel
libclang-rt-14-dev compiler-rt
libcmocka-dev libcmocka-devel
libfaketime libfaketime
libjansson-dev jansson-devel
liblz4-dev lz4-devel
libpcre2-dev pcre2-devel
librdkafka-dev librdkafka-devel
libsnappy-dev snappy-devel
libsqlite3-dev sqlite-devel
libssl-dev openssl-devel
libsystemd-dev systemd-devel
libxxhash-dev xxhash-devel
libyaml-dev libyaml-devel
libzstd-dev libzstd-devel
lintian -
logrotate logrotate
make make
mandoc mandoc
maven maven
openssl openssl
pkg-config pkgconf-pkg-config
prometheus prometheus
python3 python3
python3-jsonschema python3-jsonschema
python3-yaml python3-pyyaml
rpm rpm-build
rpmlint rpmlint
strace strace
systemd systemd
systemd-journal-remote systemd-journal-remote
zlib1g-dev zlib-devel
zstd zstd
zsh zsh
fish fish
bash-completion bash-completion
'

java_is_there() {
	command -v java >/dev/null || return 1
	major=$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')
	[ "${major:-0}" -ge 17 ]
}

# is_there DEBIAN'S-NAME [FEDORA'S]
is_there() {
	case $1 in
	default-jre-headless) java_is_there ;;
	gcc|make|clang|python3|kcat|strace|cppcheck|pkg-config) command -v "$1" >/dev/null ;;
	maven) command -v mvn >/dev/null ;;
	*)	if [ $# -gt 1 ]; then
			rpm -q "$2" >/dev/null 2>&1
		else
			dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
		fi ;;
	esac
}

root_by() {
	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null || { echo "not root and no sudo; install by hand:$missing" >&2; exit 1; }
	root='sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C'
}

# apt_get WORD... - waits for another apt-get, such as a machine runs by itself when it has just been started; apt itself waits
# for one of the locks only. Prints what apt said if it fails.
apt_get() {
	tries=60
	until said=$($root apt-get -qq -o DPkg::Lock::Timeout=600 "$@" 2>&1); do
		case $said in
		*'Could not get lock'*) tries=$((tries - 1)) ;;
		*) tries=0 ;;
		esac
		[ $tries -gt 0 ] || { printf '%s\n' "$said"; return 1; }
		sleep 10
	done
}

with_apt() {
	missing=
	for p; do
		is_there "$p" || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	echo "installing:$missing"
	root_by
	export DEBIAN_FRONTEND=noninteractive LC_ALL=C
	# The lists may be old or not there at all: only then are they fetched. One of a third party that cannot be fetched
	# may not be needed: what is installed decides.
	# shellcheck disable=SC2086
	apt_get install -y --no-install-recommends $missing >/dev/null || {
		apt_get update >&2 || :
		apt_get install -y --no-install-recommends $missing >&2
	}
}

with_dnf() {
	missing=
	none=
	for p; do
		there=$(printf '%s' "$names" | sed -n "s/^$p //p")
		case $there in
		'') echo "packaging/deps.sh has no name of dnf's for $p" >&2; exit 1 ;;
		-) none="$none $p" ;;
		*) is_there "$p" "$there" || missing="$missing $there" ;;
		esac
	done
	[ -z "$none" ] || echo "dnf has none of:$none; the tests that need them fail and say so" >&2
	[ -n "$missing" ] || return 0
	echo "installing:$missing"
	root_by
	# shellcheck disable=SC2086
	$root dnf install -q -y --setopt=install_weak_deps=False $missing
}

root=
if command -v apt-get >/dev/null; then
	with_apt "$@"
elif command -v dnf >/dev/null; then
	with_dnf "$@"
else
	echo "neither apt-get nor dnf: the packages needed are those that Debian calls $*" >&2
fi
