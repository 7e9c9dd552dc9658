/* For the fault switch: this process stands, as after SIGSTOP, and goes on after ten seconds. Any thread. */
#pragma once

void stand_still(void);
