#pragma once
// libevent's configuration header defines _GNU_SOURCE, which changes the layout names of fd_set: the system's header must come first,
// otherwise a clean debug build fails.
#include <sys/select.h>
#include <sys/time.h>
#include <event2/event.h>
