#pragma once
// What Swift cannot import of libmicrohttpd: its variadic calls.
#include <sys/types.h>
#include <sys/select.h>
#include <sys/socket.h>
// glibc's fd_set names its member differently under _GNU_SOURCE, and Swift refuses a program that sees both. The
// functions with fd_set are for select(), which nobody here uses.
#define fd_set void
#include <microhttpd.h>
#undef fd_set

/// MHD_start_daemon is variadic. One epoll thread over a socket that is already listening; the daemon owns the socket
/// until it is quiesced. Every callback gets `context`. Inactivity is in seconds, memory in bytes a connection.
static inline struct MHD_Daemon *cmhd_start(MHD_socket listening, unsigned int connections, unsigned int inactivity,
                                            size_t memory, MHD_AccessHandlerCallback access,
                                            MHD_RequestCompletedCallback completed,
                                            MHD_NotifyConnectionCallback connection,
                                            void *(*target)(void *, const char *, struct MHD_Connection *),
                                            void *context) {
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, access, context,
                            MHD_OPTION_LISTEN_SOCKET, listening, MHD_OPTION_CONNECTION_LIMIT, connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, inactivity, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, completed, context,
                            MHD_OPTION_NOTIFY_CONNECTION, connection, context, MHD_OPTION_URI_LOG_CALLBACK, target,
                            context, MHD_OPTION_END);
}

/// MHD_get_connection_info is variadic: the socket of a connection, -1 if it has none.
static inline int cmhd_socket(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

/// MHD_get_connection_info is variadic: what the connection callback has stored for a connection.
static inline void *cmhd_connection_context(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}
