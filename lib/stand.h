/* For the fault switch: this process stands, as after SIGSTOP, and goes on after so long. Any thread. */
#pragma once

void stand_still(int seconds);
