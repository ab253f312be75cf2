#define _GNU_SOURCE
#include "CSockets.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(sizeof(struct sockaddr_storage) <= sizeof(((struct themis_address *)0)->storage), "an address fits");

static const struct sockaddr *socket_address(const struct themis_address *address) {
    return (const struct sockaddr *)(const void *)address->storage;
}

int themis_resolve(const char *host, uint16_t port, int passive, int numeric, struct themis_address *out) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    hints.ai_flags = (passive ? AI_PASSIVE : 0) | (numeric ? AI_NUMERICHOST : 0) | AI_NUMERICSERV;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int result = getaddrinfo(host, service, &hints, &found);
    if (result != 0) return result;
    memset(out, 0, sizeof *out);
    memcpy(out->storage, found->ai_addr, found->ai_addrlen);
    out->length = found->ai_addrlen;
    out->family = found->ai_family;
    freeaddrinfo(found);
    return 0;
}

int themis_unix_address(const char *path, struct themis_address *out) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof name.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name.sun_path, path, length + 1);
    memset(out, 0, sizeof *out);
    memcpy(out->storage, &name, sizeof name);
    out->length = sizeof name;
    out->family = AF_UNIX;
    return 0;
}

static int failed(int fd) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int themis_listen(const struct themis_address *address, int reuse_port, int backlog) {
    int one = 1, zero = 0, fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (address->family != AF_UNIX) {
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) return failed(fd);
        if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) return failed(fd);
        // "::" serves IPv4 as well.
        if (address->family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    }
    if (bind(fd, socket_address(address), address->length) != 0) return failed(fd);
    if (listen(fd, backlog) != 0) return failed(fd);
    return fd;
}

int themis_connect(const struct themis_address *address) {
    int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, socket_address(address), address->length) != 0 && errno != EINPROGRESS) return failed(fd);
    themis_no_delay(fd);
    return fd;
}

int themis_socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

int themis_local_port(int fd) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &length) != 0) return 0;
    if (name.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&name)->sin_port);
    if (name.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&name)->sin6_port);
    return 0;
}

void themis_peer_text(int fd, char *text, size_t size) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    char host[64], port[8];
    text[0] = 0;
    if (getpeername(fd, (struct sockaddr *)&name, &length) != 0) return;
    if (name.ss_family != AF_INET && name.ss_family != AF_INET6) return;
    int flags = NI_NUMERICHOST | NI_NUMERICSERV;
    if (getnameinfo((struct sockaddr *)&name, length, host, sizeof host, port, sizeof port, flags) != 0) return;
    snprintf(text, size, name.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void themis_no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int themis_unacknowledged(int fd) {
    int bytes = 0;
    return ioctl(fd, TIOCOUTQ, &bytes) == 0 && bytes > 0 ? bytes : 0;
}

void themis_send_buffer(int fd, int bytes) { setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes); }

// The inode of the listening socket on `port` in one table of /proc/net, 0 when there is none.
static unsigned long listening_inode(const char *table, uint16_t port) {
    FILE *file = fopen(table, "re");
    if (file == NULL) return 0;
    char line[512];
    unsigned long found = 0;
    while (found == 0 && fgets(line, sizeof line, file) != NULL) {
        unsigned local_port, state;
        unsigned long inode;
        const char *form = " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu";
        if (sscanf(line, form, &local_port, &state, &inode) != 3) continue;
        if (local_port == port && state == 0x0A) found = inode;
    }
    fclose(file);
    return found;
}

static int holds(const char *pid, const char *wanted) {
    char path[300], target[64];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *directory = opendir(path);
    if (directory == NULL) return 0;
    int result = 0;
    for (struct dirent *entry; !result && (entry = readdir(directory)) != NULL;) {
        char link[600];
        snprintf(link, sizeof link, "%s/%s", path, entry->d_name);
        ssize_t length = readlink(link, target, sizeof target - 1);
        if (length <= 0) continue;
        target[length] = 0;
        result = strcmp(target, wanted) == 0;
    }
    closedir(directory);
    return result;
}

pid_t themis_port_holder(uint16_t port, char *name, size_t size) {
    name[0] = 0;
    unsigned long inode = listening_inode("/proc/net/tcp", port);
    if (inode == 0) inode = listening_inode("/proc/net/tcp6", port);
    if (inode == 0) return 0;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *processes = opendir("/proc");
    if (processes == NULL) return 0;
    pid_t holder = 0;
    for (struct dirent *entry; holder == 0 && (entry = readdir(processes)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0]) || !holds(entry->d_name, wanted)) continue;
        holder = (pid_t)atol(entry->d_name);
        char path[300];
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL) continue;
        if (fgets(name, (int)size, file) != NULL) name[strcspn(name, "\n")] = 0;
        fclose(file);
    }
    closedir(processes);
    return holder;
}

ssize_t themis_send_parts(int fd, const void *first, size_t first_size, const void *second, size_t second_size, const void *third,
                          size_t third_size) {
    // sendmsg does not change what the parts point to.
    struct iovec parts[3] = {{(void *)first, first_size}, {(void *)second, second_size}, {(void *)third, third_size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

int themis_epoll(void) { return epoll_create1(EPOLL_CLOEXEC); }

int themis_epoll_watch(int epoll, int fd, uint64_t token, int writable, int known) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (writable ? EPOLLOUT : 0), .data.u64 = token};
    return epoll_ctl(epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

int themis_epoll_forget(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); }

int themis_epoll_ready(int epoll, uint64_t *tokens, uint8_t *states, int count) {
    struct epoll_event events[256];
    int ready = epoll_wait(epoll, events, count < 256 ? count : 256, 0);
    for (int i = 0; i < ready; i++) {
        uint32_t bits = events[i].events;
        tokens[i] = events[i].data.u64;
        uint32_t closed = bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        states[i] = (uint8_t)((bits & EPOLLIN ? 1 : 0) | (bits & EPOLLOUT ? 2 : 0) | (closed ? 4 : 0));
    }
    return ready;
}
