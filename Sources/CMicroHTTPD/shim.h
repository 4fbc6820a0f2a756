#pragma once
// Only what Swift cannot call: variadic functions.
#include <sys/types.h>
#include <sys/socket.h>
#include <microhttpd.h>

static inline struct MHD_Daemon *cmhd_start(
    unsigned int flags, MHD_AccessHandlerCallback handler, void *argument, MHD_RequestCompletedCallback completed,
    struct MHD_OptionItem *options) {
    return MHD_start_daemon(
        flags, 0, NULL, NULL, handler, argument, MHD_OPTION_NOTIFY_COMPLETED, completed, argument, MHD_OPTION_ARRAY,
        options, MHD_OPTION_END);
}

static inline int cmhd_descriptor(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}
