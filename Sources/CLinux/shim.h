#pragma once
// What Swift's Glibc overlay does not import: epoll, eventfd, variadic calls, and structures behind _GNU_SOURCE
// (which is not defined here: it would change types that other modules share).
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/un.h>

/// fcntl is variadic, and so not importable.
static inline int clinux_fcntl_int(int descriptor, int command, int argument) {
    return fcntl(descriptor, command, argument);
}

/// open is variadic, and so not importable with a mode.
static inline int clinux_open(const char *path, int flags, mode_t mode) {
    return open(path, flags, mode);
}

/// The process at the other end of a Unix socket (SO_PEERCRED).
static inline int clinux_peer_credentials(int descriptor, pid_t *pid, uid_t *uid) {
    struct { pid_t pid; uid_t uid; gid_t gid; } credentials;  // struct ucred
    socklen_t size = sizeof credentials;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return -1;
    *pid = credentials.pid;
    *uid = credentials.uid;
    return 0;
}

/// prctl is variadic, and so not importable.
static inline int clinux_set_undumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

/// A child that must not outlive the process that started it asks for this signal when that one dies.
static inline int clinux_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

/// Whether the kernel's clock is kept by somebody, NTP as a rule.
static inline int clinux_clock_is_kept(void) {
    struct timex state = {0};
    return adjtimex(&state) != -1 && (state.status & STA_UNSYNC) == 0;
}

/// Names the calling thread, for `ps -L`; at most 15 bytes (pthread_setname_np needs _GNU_SOURCE).
static inline void clinux_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/// Exchanges two names in one step (RENAME_EXCHANGE; renameat2 is declared behind _GNU_SOURCE).
/// Everything written to the file system of this descriptor is on the medium (syncfs is declared behind _GNU_SOURCE).
static inline int clinux_syncfs(int descriptor) {
    extern int syncfs(int);
    return syncfs(descriptor);
}
static inline int clinux_exchange(const char *one, const char *other) {
    extern int renameat2(int, const char *, int, const char *, unsigned int);
    return renameat2(AT_FDCWD, one, AT_FDCWD, other, 1u << 1);
}
