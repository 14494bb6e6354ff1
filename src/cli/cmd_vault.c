#include "cli/command.h"

#include <string.h>

#include "base/file.h"

static int init(struct call *c)
{
    const char *path = str_cstr(c->arena, c->settings->master_key_file);
    str dir, name;
    if (str_cut_last(c->settings->master_key_file, '/', &dir, &name) && dir.n > 0 &&
        dir_make(str_cstr(c->arena, dir), 0700, &c->fault) != OK)
        return call_failed(c, NULL);
    if (vault_make_master(path, &c->fault) != OK)
        return call_failed(c, NULL);
    fprintf(c->out, "A master key was made: %s\nKeep a copy apart from the data and from its backups.\n", path);
    return EXIT_GOOD;
}

static int rotate(struct call *c)
{
    int64_t rewrapped = 0;
    bool prepare = call_flag(c, "--prepare");
    if (prepare) {
        if (vault_prepare_rotation(c->portal->privacy.vault, &c->fault) != OK)
            return call_failed(c, NULL);
        fprintf(c->out, "The next master key is written. Carry it to every server, then rotate.\n");
        return EXIT_GOOD;
    }
    if (portal_rotate(c->portal, c->arena, &rewrapped, &c->fault) != OK)
        return call_failed(c, "rotate");
    fprintf(c->out, "The master key was replaced; %lld keys were wrapped anew.\n", (long long)rewrapped);
    if (c->settings->master_key_read_only)
        fprintf(c->out, "The old one is yours to destroy.\n");
    return EXIT_GOOD;
}

int command_vault(struct call *c)
{
    const char *what = c->argc > 1 ? c->argv[1] : "";
    if (c->argc == 2 && strcmp(what, "init") == 0)
        return init(c);
    bool prepare = c->argc == 3 && strcmp(c->argv[2], "--prepare") == 0;
    if ((c->argc == 2 || prepare) && strcmp(what, "rotate") == 0)
        return call_with_portal(c, false, PORTAL_MIGRATED, rotate);
    return call_usage(c, NULL);
}
