# Makefile - one, GNU, not recursive: the only self-calls change the configuration (B=), never the folder.
#
#	make                    build/release/spillway
#	make lib                build/release/libspillway-producer.a and .so.0: the producer for other programs
#	make B=asan             the same under build/asan; B is release, asan, tsan, cov, clang or fuzz
#	make check              everything that proves something; T=name: only tests whose name has that in it
#	make V=1                shows the commands
#
# A new .c file needs no edit here. A changed flag or compiler rebuilds (build/$(B)/flags), so does a changed header.

# -r but not -R: set here, -R also empties $(CC). Never a comment after a := value: the blanks stay in it.
MAKEFLAGS += -r --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:

VERSION := 0.1.0
B       ?= release
O       := build/$(B)
JOBS    := $(shell nproc 2>/dev/null || echo 2)
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)')

PREFIX     ?= /usr/local
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR    ?= $(PREFIX)/lib/systemd/system
LIBDIR     ?= $(PREFIX)/lib
ZSHDIR     ?= $(PREFIX)/share/zsh/site-functions

# Debian's packages: what the program needs to be built, and what its tests need besides.
DEPS_BUILD := gcc make pkg-config libc6-dev libsqlite3-dev libyaml-dev liblz4-dev libzstd-dev libxxhash-dev \
	zlib1g-dev libsnappy-dev libssl-dev libjansson-dev libpcre2-dev libsystemd-dev
DEPS_TESTS := libcmocka-dev clang libclang-rt-14-dev python3 maven default-jre-headless kcat strace cppcheck openssl librdkafka-dev \
	logrotate zstd systemd systemd-journal-remote libfaketime python3-jsonschema python3-yaml prometheus chromium debhelper lintian \
	blhc devscripts rpm rpmlint debootstrap fakeroot autopkgtest mandoc zsh fish

# --- Flags ---

ifeq ($(origin CC),default)
CC := gcc
endif
ifneq ($(filter $(B),clang fuzz),)
CC := clang
endif
OBJCOPY ?= objcopy

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wno-sign-conversion -Wvla \
	-Wformat=2 -Wpointer-arith -Wundef
HARD := -O2 -fPIE -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
LINK := -fPIE -pie -Wl,-z,relro,-z,now

FLAGS.release := $(HARD)
LINK.release  := $(LINK)
FLAGS.clang   := $(HARD) -Werror
LINK.clang    := $(LINK)
FLAGS.asan    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LINK.asan     := -fsanitize=address,undefined
FLAGS.tsan    := -O1 -fno-omit-frame-pointer -fsanitize=thread
LINK.tsan     := -fsanitize=thread
FLAGS.cov     := -O0 --coverage
LINK.cov      := --coverage
# Only the targets themselves are linked with libFuzzer's main; the rest of the program is built to be watched by it.
FLAGS.fuzz    := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LINK.fuzz     := -fsanitize=address,undefined
ifeq ($(FLAGS.$(B)),)
$(error B=$(B): there are release, asan, tsan, cov, clang and fuzz)
endif

# What the producer needs; packaging/libspillway-producer.pc.in says the same to others.
PRODLIBS := -llz4 -lzstd -lz -lssl -lcrypto -ljansson -lpcre2-8 -lm -ldl -lpthread
# The journal is read by libsystemd, loaded when it is first needed; JOURNALD=0, or no header of it: not at all.
JOURNALD ?= $(shell pkg-config --exists libsystemd 2>/dev/null && echo 1 || echo 0)
ifneq ($(JOURNALD),0)
JOURNALFLAGS := -DHAVE_JOURNALD=
endif
LIBS  := -lsqlite3 -lyaml $(PRODLIBS)
# STATIC=1: all but glibc becomes part of the program; the tarball is built so.
ifneq ($(STATIC),)
LIBS  := -Wl,-Bstatic $(filter-out -lm -ldl -lpthread,$(LIBS)) -Wl,-Bdynamic -lm -ldl -lpthread
endif
CCALL := $(CC) -std=gnu11 -I. -g $(WARN) $(FLAGS.$(B)) -D_GNU_SOURCE= $(JOURNALFLAGS) -DSPILLWAY_VERSION=\"$(VERSION)\" $(CPPFLAGS) $(CFLAGS)
LDALL := $(CC) $(LINK.$(B)) $(CFLAGS) $(LDFLAGS)
# make check sets WERROR=1. It stays out of the stamp: it changes no object, only whether there is one.
STRICT := $(if $(WERROR),-Werror)

# --- Files ---

SRC     := $(wildcard agent/*.c agent/*/*.c producer/*.c spool/*.c conf/*.c)
HDR     := $(wildcard agent/*.h agent/*/*.h producer/*.h spool/*.h conf/*.h)
CORE    := $(patsubst %.c,$(O)/%.o,$(filter-out agent/main.c,$(SRC)))
TESTSRC := $(wildcard tests/unit/test_*.c tests/fault/test_*.c tests/golden/test_*.c)
# Programs that scenario tests or people run: each has a main of its own.
TOOLSRC := $(wildcard tests/lib/tool_*.c tests/bench/bench_*.c)
TOOLBIN := $(patsubst %.c,$(O)/%,$(TOOLSRC))
TESTLIB := $(patsubst %.c,$(O)/%.o,$(filter-out $(TOOLSRC),$(wildcard tests/lib/*.c)))
FUZZSRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZBIN := $(patsubst %.c,$(O)/%,$(FUZZSRC))
TESTBIN := $(patsubst %.c,$(O)/%,$(TESTSRC))
# The library's objects are built apart: position independent, and only what producer.h declares is visible.
LIBNAME := libspillway-producer
LIBOBJ  := $(patsubst %.c,$(O)/pic/%.o,$(wildcard producer/*.c))
LIBBASE := $(patsubst %.c,$(O)/pic/%.o,$(wildcard agent/base/*.c))
ALLSRC  := $(SRC) $(TESTSRC) $(FUZZSRC) $(sort $(TOOLSRC) $(wildcard tests/lib/*.c))

.PHONY: all lib tests fuzzers check soak fuzz lint demo bench install install-data deb rpm tarball deps deps-build cov format clean distclean help FORCE

all: $(O)/spillway			## build/$(B)/spillway (the default)
lib: $(O)/$(LIBNAME).a $(O)/$(LIBNAME).so.0	## the producer as a library, static and shared
tests: $(TESTBIN) $(TOOLBIN)		## the unit test binaries, build/$(B)/tests/unit/test_*, and tests/lib/tool_*, tests/bench/bench_*

fuzzers: $(FUZZBIN)			## build/fuzz/tests/fuzz/fuzz_*; only with B=fuzz

# --- Building ---

$(O)/spillway: $(O)/agent/main.o $(O)/libspillway.a
	$(call say,LD,$@)
	$(Q)$(LDALL) -o $@ $^ $(LIBS)

# Tests link against an archive, so each pulls in only what it refers to.
$(O)/libspillway.a: $(CORE) $(O)/members
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(CORE)

$(O)/libtests.a: $(TESTLIB) $(O)/members
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(TESTLIB)

$(TESTBIN): $(O)/%: $(O)/%.o $(O)/libtests.a $(O)/libspillway.a
	$(call say,LD,$@)
	$(Q)$(LDALL) -o $@ $< $(O)/libtests.a $(O)/libspillway.a $(LIBS) -lsnappy -lcmocka

# The yardstick alone knows librdkafka.
$(O)/tests/bench/bench_latency_rdkafka: LIBS += -lrdkafka

$(TOOLBIN): $(O)/%: $(O)/%.o $(O)/libtests.a $(O)/libspillway.a
	$(call say,LD,$@)
	$(Q)$(LDALL) -o $@ $< $(O)/libtests.a $(O)/libspillway.a $(LIBS) -lsnappy

$(FUZZBIN): $(O)/%: $(O)/%.o $(O)/libspillway.a
	$(call say,LD,$@)
	$(Q)$(LDALL) -fsanitize=fuzzer -o $@ $< $(O)/libspillway.a $(LIBS)

$(O)/%.o: %.c $(O)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCALL) $(STRICT) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(O)/pic/%.o: %.c $(O)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCALL) $(STRICT) -fPIC -fvisibility=hidden -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(O)/pic/base.a: $(LIBBASE) $(O)/members
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIBBASE)

# One object in which hidden names are local, so that none of ours can clash with one of the program's.
$(O)/pic/$(LIBNAME).o: $(LIBOBJ) $(O)/pic/base.a $(O)/members
	$(Q)$(LD) -r -o $@ $(LIBOBJ) $(O)/pic/base.a && $(OBJCOPY) --localize-hidden $@

$(O)/$(LIBNAME).a: $(O)/pic/$(LIBNAME).o
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $<

$(O)/$(LIBNAME).so.0: $(O)/pic/$(LIBNAME).o packaging/$(LIBNAME).map
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(filter-out -fPIE -pie,$(LINK.$(B))) $(CFLAGS) $(LDFLAGS) -Wl,-soname,$(@F) -Wl,--no-undefined \
		-Wl,--version-script,packaging/$(LIBNAME).map -o $@ $< $(PRODLIBS)

$(O)/flags: FORCE
	@mkdir -p $(@D) && { printf '%s\n' '$(CCALL) | $(LDALL)' | cmp -s - $@ || printf '%s\n' '$(CCALL) | $(LDALL)' >$@; }

# A source file that went away must leave the archive too.
$(O)/members: FORCE
	@mkdir -p $(@D) && { printf '%s\n' '$(CORE) $(TESTLIB)' | cmp -s - $@ || printf '%s\n' '$(CORE) $(TESTLIB)' >$@; }

# What the assembler reads, the compiler does not see.
$(O)/agent/web/index.o: agent/web/index.html

-include $(patsubst %.c,$(O)/%.d,$(ALLSRC)) $(LIBOBJ:.o=.d) $(LIBBASE:.o=.d)

# --- Proving ---

check: deps				## everything that proves something; T=name runs only tests with that in their name
	+$(Q)python3 tests/lib/check.py --make '$(MAKE)' --jobs $(JOBS) --filter '$(T)'

KILLS ?= 1000
STEPS ?= 200000
SEED  ?= 1
soak: deps				## kill -9 a thousand times, and random operations on and on; KILLS=1000 STEPS=200000 SEED=1
	+$(Q)$(MAKE) -j$(JOBS) B=release all tests
	$(Q)python3 tests/scenario/run.py --spillway build/release/spillway --kills $(KILLS) --seed $(SEED)
	$(Q)python3 tests/scenario/run.py --spillway build/release/spillway --steps $(STEPS) --seed $(SEED)

FUZZ_SECONDS ?= 30
fuzz: deps				## every decoder under libFuzzer; T=name: only targets with that in their name; FUZZ_SECONDS=30 each
	+$(Q)$(MAKE) -j$(JOBS) B=fuzz fuzzers
	$(Q)python3 tests/fuzz/run.py --seconds $(FUZZ_SECONDS) --filter '$(T)'

lint:					## layers, banned functions, stray symbols, headers that stand alone, cppcheck
	+$(Q)$(MAKE) -s -j$(JOBS) all
	$(Q)python3 tests/lib/lint.py --objects $(O)

demo: deps				## a broker outage from beginning to end, counted by Kafka's own consumer
	+$(Q)$(MAKE) -j$(JOBS) B=release all
	$(Q)python3 tests/scenario/demo.py --spillway build/release/spillway

bench: deps				## CPU seconds per GB beside kcat -P; latency beside librdkafka and Java
	+$(Q)$(MAKE) -j$(JOBS) B=release all tests
	$(Q)python3 tests/bench/bench.py --spillway build/release/spillway

cov:					## line coverage of the unit tests
	$(Q)rm -rf build/cov
	+$(Q)$(MAKE) -j$(JOBS) B=cov tests
	$(Q)for t in build/cov/tests/*/test_*.gcno; do "$${t%.gcno}" >/dev/null 2>&1 || echo "failed: $$t"; done
	$(Q)find build/cov/agent build/cov/producer build/cov/spool build/cov/conf -name '*.gcda' -exec gcov -n -r {} + \
		2>/dev/null | awk '/^File/ { f = $$2; gsub("\047", "", f) } /^Lines executed/ && f { \
		sub("executed:", "", $$2); print $$2 "\t" f; f = "" }' | grep '\.c$$' | sort -n

deps:					## installs with apt what is missing for building and testing
	@packaging/deps.sh $(DEPS_BUILD) $(DEPS_TESTS)

deps-build:				## installs with apt what is missing for building
	@packaging/deps.sh $(DEPS_BUILD)

# --- House ---

# Two arguments: files, which may be none, and the folder that they go into.
install_all = $(if $(wildcard $(1)),install -d '$(DESTDIR)$(2)' && install -m 644 $(wildcard $(1)) '$(DESTDIR)$(2)')

install: all lib			## with DESTDIR, PREFIX (/usr/local), LIBDIR, SYSCONFDIR, UNITDIR, ZSHDIR
	install -D -m 755 $(O)/spillway '$(DESTDIR)$(PREFIX)/bin/spillway'
	install -D -m 644 producer/producer.h '$(DESTDIR)$(PREFIX)/include/spillway/producer.h'
	install -D -m 644 $(O)/$(LIBNAME).a '$(DESTDIR)$(LIBDIR)/$(LIBNAME).a'
	install -D -m 755 $(O)/$(LIBNAME).so.0 '$(DESTDIR)$(LIBDIR)/$(LIBNAME).so.0'
	ln -sf $(LIBNAME).so.0 '$(DESTDIR)$(LIBDIR)/$(LIBNAME).so'
	install -d '$(DESTDIR)$(LIBDIR)/pkgconfig'
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' packaging/$(LIBNAME).pc.in \
		>'$(DESTDIR)$(LIBDIR)/pkgconfig/$(LIBNAME).pc'
	+$(Q)$(MAKE) install-data

# What is the same for every machine; the tarball has it too. The program is there: it writes its own schema.
install-data:
	$(call install_all,packaging/man/*.1,$(PREFIX)/share/man/man1)
	$(call install_all,packaging/man/*.3,$(PREFIX)/share/man/man3)
	$(call install_all,packaging/man/*.5,$(PREFIX)/share/man/man5)
	$(call install_all,packaging/man/*.8,$(PREFIX)/share/man/man8)
	$(call install_all,packaging/systemd/*.service,$(UNITDIR))
	sed -i -e 's|@BINDIR@|$(PREFIX)/bin|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' '$(DESTDIR)$(UNITDIR)/'spillway*.service
	install -D -m 644 packaging/spillway.sysusers '$(DESTDIR)$(PREFIX)/lib/sysusers.d/spillway.conf'
	install -D -m 644 packaging/spillway.tmpfiles '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/spillway.conf'
	$(Q)for f in $(wildcard packaging/completions/spillway.bash); do \
		install -D -m 644 "$$f" '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/spillway' || exit 1; done
	$(call install_all,packaging/completions/_spillway,$(ZSHDIR))
	$(call install_all,packaging/completions/*.fish,$(PREFIX)/share/fish/vendor_completions.d)
	$(call install_all,packaging/monitoring/*.json packaging/monitoring/alerts.yaml,$(PREFIX)/share/spillway/monitoring)
	install -d '$(DESTDIR)$(PREFIX)/share/spillway'
	$(Q)to='$(DESTDIR)$(PREFIX)/share/spillway/spillway.schema.json'; $(O)/spillway schema >"$$to" && chmod 644 "$$to"
	$(call install_all,packaging/guide.md,$(PREFIX)/share/doc/spillway)
	$(call install_all,conf/spillway.yaml conf/examples/*.yaml,$(PREFIX)/share/doc/spillway/examples)
	$(call install_all,packaging/kubernetes/*.yaml,$(PREFIX)/share/doc/spillway/examples/kubernetes)
	$(call install_all,packaging/systemd/README.md packaging/systemd/drop-ins/*.conf,$(PREFIX)/share/doc/spillway/examples/systemd)
	install -d '$(DESTDIR)$(SYSCONFDIR)/spillway/conf.d'
	$(Q)to='$(DESTDIR)$(SYSCONFDIR)/spillway/spillway.yaml'; if [ -e "$$to" ]; then to="$$to.new"; fi; \
		install -m 644 packaging/spillway.yaml "$$to"

# Packages, in build/packages; packaging/README.md says what is in which.
deb:					## spillway, libspillway-producer0 and -dev for Debian
rpm:					## spillway, -libs and -devel for Fedora and EL
tarball:				## an archive that runs from any folder, with glibc alone
deb rpm tarball:
	$(Q)packaging/package.sh $@ $(VERSION) build/packages

json_escape = $(subst ",\",$(subst \,\\,$(1)))
compile_commands.json: FORCE		## for editors and clang-tidy
	$(Q){ sep='['; for f in $(ALLSRC); do \
		printf '%s\n{"directory":"%s","file":"%s","command":"%s -c %s"}' "$$sep" '$(CURDIR)' "$$f" \
			'$(call json_escape,$(CCALL))' "$$f"; sep=,; done; printf '\n]\n'; } >$@

format:					## clang-format over everything: a hint, look at the diff
	$(Q)clang-format -i $(ALLSRC) $(HDR)

clean:					## removes what was built, keeps downloaded jars
	rm -rf $(addprefix build/,release asan tsan cov clang fuzz check packages) compile_commands.json

# The clean Debian of the packages' tests is root's.
distclean: clean			## removes downloaded things too
	rm -rf build 2>/dev/null || sudo rm -rf build

help:					## this list
	@sed -n 's/^\([a-z_.-]*\):[^#]*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r t d; do printf '%-22s %s\n' "$$t" "$$d"; done

FORCE:
