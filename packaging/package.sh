#!/bin/sh
# package.sh deb|rpm|tarball VERSION FOLDER - builds packages of this tree into FOLDER, in a copy of the sources under it.
#
# The same sources make the same bytes, in whatever folder and whenever: the one time that appears in a package is that of
# debian/changelog's last entry, names of folders are mapped away, owners are root, and lists are sorted.
set -eu
umask 022

kind=$1
version=$2
mkdir -p "$3"
out=$(cd "$3" && pwd)
top=$(cd "$(dirname "$0")/.." && pwd)
work=$out/$kind.build
name=spillway-$version

SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l "$top/packaging/debian/changelog" -S Timestamp 2>/dev/null) ||
	SOURCE_DATE_EPOCH=$(date -u -d "$(sed -n '/^ -- /{s/.*>  //p;q}' "$top/packaging/debian/changelog")" +%s)
LC_ALL=C TZ=UTC
export SOURCE_DATE_EPOCH LC_ALL TZ
# What was exported for this tree's own build is none of a package's.
unset MAKEFLAGS MFLAGS MAKELEVEL CFLAGS CPPFLAGS LDFLAGS B O V DESTDIR PREFIX

sources() {
	rm -rf "$work"
	mkdir -p "$work/$name"
	(cd "$top" && tar -cf - --exclude=__pycache__ agent conf packaging producer spool Makefile ./*.md LICENSE) |
		tar -xf - -C "$work/$name"
	# A checkout's times would go into packages, where they are older than that entry.
	find "$work/$name" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

failed() {
	tail -n 40 "$work/log" | cut -c 1-300 >&2
	exit 1
}

# archive FOLDER FILE: FILE.tar.gz of it, always the same.
archive() {
	tar -C "$(dirname "$1")" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r-w,a+X \
		--format=gnu -cf - "$(basename "$1")" | gzip -9n >"$2"
}

deb() {
	sources
	cp -R "$work/$name/packaging/debian" "$work/$name/debian"
	revision=$(dpkg-parsechangelog -l "$work/$name/debian/changelog" -S Version)
	[ "${revision%-*}" = "$version" ] ||
		{ echo "packaging/debian/changelog is of $revision, the Makefile of $version" >&2; exit 1; }
	(cd "$work/$name" && dpkg-buildpackage -b -us -uc) >"$work/log" 2>&1 || failed
	mv "$work"/*.deb "$work"/*.buildinfo "$work"/*.changes "$out"
	mv "$work/log" "$out/deb.log"
}

# The names of its folders become part of an rpm: they are always these, and one build at a time has them.
rpm() {
	fixed=/var/tmp/spillway-rpm
	until [ "$(stat -L -c %d:%i $fixed 2>/dev/null)" = "$(stat -L -c %d:%i /dev/fd/9 2>/dev/null || echo none)" ]; do
		mkdir -m 700 $fixed 2>/dev/null || :
		who=$(stat -c %u:%F $fixed) || continue
		[ "$who" = "$(id -u):directory" ] || { echo "$fixed belongs to somebody else" >&2; exit 1; }
		exec 9<$fixed
		flock 9         # who had it before has removed it: once more
	done
	trap 'rm -rf $fixed' EXIT
	trap 'exit 1' HUP INT TERM
	rm -rf "${fixed:?}"/*
	sources
	archive "$work/$name" "$fixed/$name.tar.gz"
	install -p -m 644 "$work/$name/packaging/rpm/spillway.spec" $fixed
	rpmbuild -ba --nodeps --define "_topdir $fixed" --define "_sourcedir $fixed" --define "_builddir $fixed/tree" \
		--define "version_of_spillway $version" --define '_buildhost localhost' --define 'use_source_date_epoch_as_buildtime 1' \
		--define 'clamp_mtime_to_source_date_epoch 1' --define '_build_id_links none' \
		--define '_srcdefattr (-,root,root)' $fixed/spillway.spec >"$work/log" 2>&1 || failed
	find $fixed -name '*.rpm' -exec mv {} "$out" \;
	mv "$work/log" "$out/rpm.log"
}

# Only glibc is taken from the machine: every other library is inside.
tarball() {
	sources
	machine=$(uname -m)
	tree=$work/$name-linux-$machine
	# Where it will lie is not known; the unit takes the folder that the README proposes.
	(cd "$work/$name" && make -s -j"$(nproc)" CFLAGS="-ffile-prefix-map=$work/$name=." STATIC=1 all &&
		make -s install-data DESTDIR="$work/stage" PREFIX=/opt/spillway SYSCONFDIR=/etc) >"$work/log" 2>&1 || failed
	mv "$work/stage/opt/spillway" "$tree"
	mv "$work/stage/etc" "$tree"
	install -D -m 755 -s "$work/$name/build/release/spillway" "$tree/bin/spillway"
	install -m 644 "$top/LICENSE" "$top/CHANGELOG.md" "$top/packaging/tarball/README" "$tree"
	archive "$tree" "$out/$(basename "$tree").tar.gz"
}

"$kind"
rm -rf "$work"
ls "$out" | sed "s|^|$3/|" | grep -v '\.build$'
