// SPDX-License-Identifier: GPL-2.0
/*
 * The init of boot.sh's guest: does what keeps real ones from booting, it
 * asks for a random byte and waits until there is one. It says nothing before,
 * lest its words and the kernel's get mixed on the console. There is no C
 * library for the guest's 32 bits.
 */
#define SYS_WRITE	4
#define SYS_PAUSE	29
#define SYS_GETRANDOM	355
#define STDOUT		1

static long call(long nr, unsigned long a, unsigned long b, unsigned long c)
{
	long ret;

	__asm__ volatile ("int $0x80" : "=a" (ret)
			  : "a" (nr), "b" (a), "c" (b), "d" (c) : "memory");
	return ret;
}

void _start(void)
{
	static const char text[] = "init has a random byte\n";
	char byte;

	if (call(SYS_GETRANDOM, (unsigned long)&byte, sizeof(byte), 0) == sizeof(byte))
		call(SYS_WRITE, STDOUT, (unsigned long)text, sizeof(text) - 1);
	for (;;)
		call(SYS_PAUSE, 0, 0, 0);
}
