#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "CSockets.h"

// What `import Glibc` does not show: GNU extensions, variadic calls and thread-local storage. Every function
// returns -1 with errno set on failure unless it says otherwise.

/// accept4 with SOCK_NONBLOCK | SOCK_CLOEXEC.
int themis_accept(int listener);

/// socket with SOCK_NONBLOCK | SOCK_CLOEXEC.
int themis_socket(int domain, int type);

/// eventfd with EFD_NONBLOCK | EFD_CLOEXEC.
int themis_eventfd(void);

/// The peer's credentials of a connected Unix socket (SO_PEERCRED).
int themis_peer_credentials(int fd, uid_t *uid, gid_t *gid, pid_t *pid);

/// Asks the kernel to send `signal` to this process when the thread that started it ends.
int themis_die_with_parent(int signal);

/// Sets O_NONBLOCK.
int themis_set_nonblocking(int fd);

/// open with O_CLOEXEC.
int themis_open(const char *path, int flags, mode_t mode);

/// Locks the whole file exclusively without waiting (fcntl F_SETLK: held by this process until it ends or closes any
/// descriptor of the file).
int themis_lock_file(int fd);

/// The pid that holds a conflicting lock, 0 when nobody does, -1 when it cannot be told.
pid_t themis_lock_holder(int fd);

/// One pointer a thread: the loop that runs on it, or NULL.
void *themis_current_loop(void);
void themis_set_current_loop(void *loop);

/// The system's English words for an errno value, a constant text.
const char *themis_error_text(int error);
