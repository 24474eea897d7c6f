#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# clients.sh: what 10 000 clients cost on Debian's stock kernel, those that
# are idle, those that have used up their quota, and those that wait; as rows of
# bench.sh's table. Instructions are counted by QEMU.

. "$(dirname "$0")/../lib/bench.sh"

build_benchmark clients
say "opening 10 000 clients; this takes about two minutes"
run_vm "$top" clients '' 600 "${counting_instructions[@]}" -m 2G >&2
awk -f "$top/scripts/bench/table.awk" \
	-f "$top/scripts/bench/clients.awk" "$work/measured"
