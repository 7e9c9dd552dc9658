/* For the fault switch: this process stands, as after SIGSTOP, and goes on after ten seconds. Any thread. */
#pragma once

enum { STAND_SECONDS = 10 };

void stand_still(void);
