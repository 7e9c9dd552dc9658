/* timerfds tick: one that is read, one that has expired and is not read, some far away or with an absolute time. */
#include <sys/timerfd.h>

#include "tests/survive/survive.h"

static uint64_t expirations(int fd)
{
	uint64_t count = 0;
	check(read(fd, &count, sizeof(count)) == sizeof(count));
	return count;
}

int main(void)
{
	struct itimerspec every = { .it_interval.tv_nsec = 20000000, .it_value.tv_nsec = 20000000 }, left;
	struct itimerspec far = { .it_value.tv_sec = 10000 }, at = { .it_interval.tv_nsec = 50000000 };
	int read_one = timerfd_create(CLOCK_MONOTONIC, 0), unread = timerfd_create(CLOCK_MONOTONIC, 0);
	int far_one = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC),
	    absolute = timerfd_create(CLOCK_REALTIME, 0);
	check(read_one >= 0 && unread >= 0 && far_one >= 0 && absolute >= 0);
	int far_absolute = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	check(far_absolute >= 0 && clock_gettime(CLOCK_MONOTONIC, &far.it_value) == 0);
	far.it_value.tv_sec += 10000;
	check(timerfd_settime(far_absolute, TFD_TIMER_ABSTIME, &far, NULL) == 0);
	far.it_value = (struct timespec){ .tv_sec = 10000 };
	check(clock_gettime(CLOCK_REALTIME, &at.it_value) == 0);
	at.it_value.tv_sec++;
	check(timerfd_settime(read_one, 0, &every, NULL) == 0 &&
	      timerfd_settime(unread, 0, &every, NULL) == 0);
	check(timerfd_settime(far_one, 0, &far, NULL) == 0);
	check(timerfd_settime(absolute, TFD_TIMER_ABSTIME, &at, NULL) == 0);
	while (survive_moved()) {
		for (int i = 0; i < 3; i++)
			check(expirations(read_one) >= 1);
		check(expirations(absolute) >= 1);
		for (int i = 0; i < 2; i++) {
			check(timerfd_gettime(i ? far_absolute : far_one, &left) == 0);
			check(left.it_value.tv_sec > 9000 && left.it_value.tv_sec < 10000);
		}
		/* It expired long ago; and goes on. */
		check(expirations(unread) >= 1);
		check(timerfd_gettime(unread, &left) == 0 && left.it_interval.tv_nsec == 20000000);
		check(left.it_value.tv_nsec > 0);
		check(expirations(unread) >= 1);
		survive_sleep_ms(60);
	}
	survive_ok();
	return 0;
}
