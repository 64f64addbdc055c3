/* clock.h - time. Timers use the monotonic clock, only what leaves the machine uses wall time. */
#ifndef SPILLWAY_CLOCK_H
#define SPILLWAY_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void);	/* CLOCK_MONOTONIC */
int64_t clock_mono_ns(void);
int64_t clock_wall_ms(void);	/* CLOCK_REALTIME, since 1970 */

#endif
