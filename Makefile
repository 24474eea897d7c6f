# SPDX-License-Identifier: GPL-2.0
#
# For people; what kbuild makes is told by Kbuild. "make help" lists the rest.

# A kernel build tree; by default the running kernel's.
KDIR ?=
# Where "make install" puts things, for packagers.
DESTDIR ?=

kdir = $(shell scripts/build/kdir.sh '$(KDIR)')
# Ask once, and stop if there is none: the script has said why.
need_kdir = $(eval kdir := $(kdir))$(if $(kdir),,$(error no kernel to build for))

# Debian's headers know the release they install for only from here.
release = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(kdir)/include/generated/utsrelease.h)

udev_rule = $(DESTDIR)/usr/lib/udev/rules.d/60-rngquota.rules
modprobe_conf = $(DESTDIR)/etc/modprobe.d/rngquota.conf

# Parts of "make bench".
benches = $(patsubst scripts/bench/%.sh,bench-%,\
	$(filter-out %/bench.sh,$(wildcard scripts/bench/*.sh)))

.PHONY: all help demo bench $(benches) kunit vmtest check check-debug \
	check-kcsan check-kernels check-model check-snapshot coverage lint install uninstall clean

all:
	$(need_kdir)@$(MAKE) -C $(kdir) M=$(CURDIR) modules
	@echo "built $(CURDIR)/rngquota.ko"

help:
	@echo "make                 the module, for the running kernel or KDIR="
	@echo "make demo            two real VMs, each with its own quota, and a picture of it"
	@echo "make bench           what it costs and delivers: a table, in half an hour"
	@echo "make bench-PART      a part of that: $(patsubst bench-%,%,$(benches))"
	@echo "make kunit           the KUnit suites, on User Mode Linux"
	@echo "make vmtest          the system tests, on Debian's stock kernel in QEMU (TESTS=)"
	@echo "make lint            checkpatch, sparse, W=1, kernel-doc, ABI page, shellcheck, codespell"
	@echo "make check           lint, kunit, what make does, and all system tests"
	@echo "make check-debug     all suites on a debug kernel, injected faults, races (DURATION=), garbage"
	@echo "make check-kcsan     the races on a kernel that looks for data races (DURATION=)"
	@echo "make check-kernels   builds and tests on Debian's kernels from 5.10 on (KERNELS=)"
	@echo "make check-model     all interleavings of clients that share total/, by spin"
	@echo "make check-snapshot  machines that sleep, that are saved and restored, and what is in their memory"
	@echo "make coverage        which lines of driver/ the tests reach, as HTML"
	@echo "make install         module, udev rule and modprobe.d example (DESTDIR=)"
	@echo "make uninstall       what install has put there"
	@echo "make clean           what make has built here"

demo bench:
	@scripts/$@/$@.sh

$(benches): bench-%:
	@scripts/bench/$*.sh

kunit lint check check-debug check-kcsan check-kernels check-model coverage:
	@scripts/test/$@.sh

vmtest:
	@scripts/test/vmtest.sh $(TESTS)

check-snapshot:
	@scripts/test/snapshottest.sh

install: all
	$(MAKE) -C $(kdir) M=$(CURDIR) INSTALL_MOD_PATH=$(DESTDIR) \
		INSTALL_MOD_DIR=updates DEPMOD=true modules_install
	install -D -m 644 scripts/install/60-rngquota.rules $(udev_rule)
	@test -e $(modprobe_conf) || \
		install -D -m 644 scripts/install/rngquota.conf $(modprobe_conf)
	@test -n "$(DESTDIR)" || depmod $(release)
	@echo "installed; now: modprobe rngquota"

uninstall:
	$(need_kdir)rm -f $(DESTDIR)/lib/modules/$(release)/updates/rngquota.ko*
	rm -f $(udev_rule)
	@! cmp -s scripts/install/rngquota.conf $(modprobe_conf) || \
		rm -f $(modprobe_conf)
	@test -n "$(DESTDIR)" || depmod $(release)
	@echo "uninstalled"

clean:
	find . -name .git -prune -o \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -name '.*.d' \
		-o -name modules.order -o -name Module.symvers \) -exec rm -f {} +
