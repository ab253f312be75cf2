#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Sockets without the shapes that Swift cannot see well (sockaddr families, variadic and macro interfaces). Functions
// return -1 with errno set on failure unless they say otherwise.

/// A socket address of any family.
struct themis_address {
    uint64_t storage[16];
    uint32_t length;
    int family;
};

/// Resolves `host` and `port`. `numeric` refuses names, so that the call cannot block. Returns 0, or a getaddrinfo error code.
int themis_resolve(const char *host, uint16_t port, int passive, int numeric, struct themis_address *out);

/// The address of a Unix socket; ENAMETOOLONG when `path` does not fit.
int themis_unix_address(const char *path, struct themis_address *out);

/// A listening non-blocking socket. TCP sockets get SO_REUSEADDR, and SO_REUSEPORT when asked.
int themis_listen(const struct themis_address *address, int reuse_port, int backlog);

/// Starts to connect a non-blocking socket; success is told by writability and themis_socket_error.
int themis_connect(const struct themis_address *address);

/// SO_ERROR of a socket: 0, or an errno value.
int themis_socket_error(int fd);

/// The local port of a TCP socket, 0 for others.
int themis_local_port(int fd);

/// Writes the peer as `address:port` into `text`; an empty text for Unix sockets.
void themis_peer_text(int fd, char *text, size_t size);

/// TCP_NODELAY; does nothing on other sockets.
void themis_no_delay(int fd);

/// Bytes given to a TCP socket that its peer has not acknowledged yet (SIOCOUTQ), 0 for other sockets.
int themis_unacknowledged(int fd);

/// SO_SNDBUF.
void themis_send_buffer(int fd, int bytes);

/// The pid of the process that listens on the TCP port, as far as /proc shows it to us, else 0. Its name goes into `name`.
pid_t themis_port_holder(uint16_t port, char *name, size_t size);

/// Sends three parts as one (MSG_NOSIGNAL); any of them may be empty. Returns the bytes taken.
ssize_t themis_send_parts(int fd, const void *first, size_t first_size, const void *second, size_t second_size, const void *third,
                          size_t third_size);

/// An epoll descriptor of its own (close-on-exec).
int themis_epoll(void);

/// Adds (`known` 0) or changes a descriptor; reports reading and closing always, writability when asked, with `token`.
int themis_epoll_watch(int epoll, int fd, uint64_t token, int writable, int known);

/// Forgets a descriptor.
int themis_epoll_forget(int epoll, int fd);

/// What is ready now, without waiting: tokens, and for each whether it may be read (1), written (2) or has closed (4).
int themis_epoll_ready(int epoll, uint64_t *tokens, uint8_t *states, int count);
