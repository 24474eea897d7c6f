# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Sourced by all that boots a kernel: a PC in QEMU, or User Mode Linux. $work is a
# folder for the script. When the script ends, that goes, and what it has booted ends.

. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"

work=$(mktemp -d)
# Both can be put behind a command that has them run first.
vm='' uml='' vm_first=() uml_first=()
end_boots() {
	[ -z "$vm" ] || kill "$vm" 2>/dev/null || :
	end_uml
	wait
	rm -rf "$work"
}
trap end_boots EXIT
trap 'exit 130' INT TERM HUP

# User Mode Linux is many processes, in one process group: that of the first.
end_uml() {
	[ -z "$uml" ] || kill -KILL -- "-$uml" 2>/dev/null || :
	uml=
}

# initramfs FILE IMAGE INIT MODULE...: make an initramfs with busybox, INIT and
# the modules of the kernel in IMAGE with all they need; INIT finds them in
# /modules, and in /modules/order.
initramfs() {
	local out=$1 image=$2 init=$3 root=$1.root release file name

	shift 3
	mkdir -p "$root"/{bin,dev,proc,root,modules}
	touch "$root/modules/order"
	cp /bin/busybox "$root/bin/"
	cp "$init" "$root/init"
	chmod +x "$root/init"
	for name; do
		release=$(basename "$image"/lib/modules/*)
		modprobe -d "$image" -S "$release" --show-depends "$name"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
	while read -r file; do
		name=$(basename "$file" .xz)
		if [[ $file = *.xz ]]; then
			xz -dc "$file" >"$root/modules/$name"
		else
			cp "$file" "$root/modules/"
		fi
		echo "$name" >>"$root/modules/order"
	done
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$out"
}

# emulated_pc KERNEL INITRAMFS CONSOLE PARAMETERS: into $pc, the command that boots
# them on a PC with no device but a serial port, which it writes to that file. It ends
# when the kernel panics or powers off. What else the PC has is for the caller to add.
emulated_pc() {
	# Mitigations would make every system call flush the emulated TLB.
	# shellcheck disable=SC2034 # for the scripts that source this
	pc=(qemu-system-x86_64 -cpu "max,la57=off" -nodefaults -display none
		-no-reboot -no-user-config -kernel "$1" -initrd "$2" -append
		"console=ttyS0 panic=-1 oops=panic mitigations=off $4"
		-serial "file:$3")
}

# share_root ROOT JOB OUT: add to $pc a root tree and the folder with what to run on it,
# both to read, and one to write. vm/init mounts them.
share_root() {
	pc+=(-virtfs "local,path=$1,mount_tag=root,security_model=none,readonly=on,multidevs=remap"
		-virtfs "local,path=$2,mount_tag=job,security_model=none,readonly=on,multidevs=remap"
		-virtfs "local,path=$3,mount_tag=out,security_model=none")
}

# start_vm SECONDS QEMU-ARGUMENT...: boot what emulated_pc said, for so long at the
# most. $vm is the process; $work/errors is what QEMU complains of.
start_vm() {
	local seconds=$1

	shift
	"${vm_first[@]}" timeout -k 5 "$seconds" "${pc[@]}" "$@" </dev/null 2>"$work/errors" &
	vm=$!
}

# wait_vm: until it ends. $vm_status is 124 if its time was over.
wait_vm() {
	vm_status=0
	wait "$vm" || vm_status=$?
	vm=
}

# vm_failed TEXT: tell what was last heard of it, and end the script.
vm_failed() {
	[ "${vm_status-}" != 124 ] || say "the VM took too long"
	cat "$work/errors" >&2
	tail -n 20 "$work/console" >&2
	die "$1"
}

# run_uml TREE SECONDS MEMORY-MIB INIT PARAMETER...: boot the kernel of that build tree
# on this machine's root, which it can only read but for $work, and wait until it
# ends, but no longer than that. INIT sees the parameters as its environment. What it
# prints goes to the standard output.
run_uml() {
	local tree=$1 seconds=$2 memory=$3 init=$4 memory_dir=$work cpu

	shift 4
	# Its memory is a file that is mapped: a tmpfs is the place, if it fits.
	if [ "$(df --output=avail -m /dev/shm 2>/dev/null | tail -n 1)" -ge "$memory" ]; then
		memory_dir=/dev/shm
	fi
	# Its CPU is one, and its processes take turns: on one real CPU they do so four
	# times as fast as across two.
	cpu=$(taskset -pc $$ | grep -o '[0-9]*$')
	ulimit -c 0
	setsid "${uml_first[@]}" taskset -c "$cpu" env -i TERM=linux HOME="$work" \
		TMPDIR="$memory_dir" "$tree/linux" "mem=${memory}M" root=/dev/root \
		rootfstype=hostfs rootflags=/ ro con=null "con0=null,fd:1" \
		"uml_dir=$work/" "init=$init" "work=$work" "$@" \
		</dev/null 2>"$work/errors" &
	uml=$!
	timeout "$seconds" tail --pid "$uml" -s 0.1 -f /dev/null &
	wait $! || say "User Mode Linux took longer than $seconds s"
	end_uml
	wait
}
