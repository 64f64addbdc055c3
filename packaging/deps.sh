#!/bin/sh
# deps.sh PACKAGE... - installs those Debian packages that are missing; silent and quick when none is.
# A program that is there already by other means (a JDK, Maven) counts as its package.
set -eu

java_is_there() {
	command -v java >/dev/null || return 1
	major=$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')
	[ "${major:-0}" -ge 17 ]
}

is_there() {
	case $1 in
	default-jre-headless) java_is_there ;;
	gcc|make|clang|python3|kcat|strace|cppcheck|pkg-config) command -v "$1" >/dev/null ;;
	maven) command -v mvn >/dev/null ;;
	*) dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
	esac
}

if ! command -v apt-get >/dev/null; then
	echo "not a Debian system: the packages needed are those that Debian calls $*" >&2
	exit 0
fi

missing=
for p; do
	is_there "$p" || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

echo "installing:$missing"
root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || { echo "not root and no sudo; install by hand:$missing" >&2; exit 1; }
	root=sudo
fi
export DEBIAN_FRONTEND=noninteractive
# The lists may be old or not there at all: only then are they fetched.
# shellcheck disable=SC2086
$root apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 || {
	$root apt-get update -qq
	$root apt-get install -qq -y --no-install-recommends $missing >/dev/null
}
