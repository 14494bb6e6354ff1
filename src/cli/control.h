/*
 * The control socket of a server that owns its data directory (SQLite): DATA/control.sock, mode
 * 0600. A command sends its arguments and its standard output, error and working directory; the
 * server runs it, writes straight to them, and answers its exit code. Only the same user or root is
 * heard.
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include "cli/command.h"

struct control;

CHECKED enum err control_start(struct control **out, struct portal *p, struct fault *f);
void control_stop(struct control **c);

/* Hands a command over. ERR_NOT_FOUND: nobody listens there. */
CHECKED enum err control_call(const struct settings *s, int argc, char **argv, int *exit_code,
                              struct fault *f);

#endif
