/*
 * Limits of the kernel that all hosts share here, as each would have its own kernel elsewhere. They are the machine's, and stay
 * when floatfs ends.
 */
#pragma once

/* Raises those that are too low for a thousand hosts; says which it cannot. */
void kernel_raise_limits(void);
