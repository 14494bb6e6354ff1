/* The state of what this app is for. It protects nothing: it keeps two values, so that a fix has something to fix. */
#include "client/agent/agent.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTDATED_S INT64_C(7 * 86400)

static bool path_of(const char *folder, const char *name, char out[static PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

bool own_read(const char *folder, struct own *out)
{
    char path[PATH_MAX];
    json_error_t wrong;
    struct own o = {0};
    if (!path_of(folder, "agent.json", path))
        return false;
    json_t *j = json_load_file(path, JSON_REJECT_DUPLICATES, &wrong);
    if (!j && json_error_code(&wrong) != json_error_cannot_open_file)
        return false;
    const char *error = json_string_value(json_object_get(j, "activation_error"));
    o.protection = json_is_true(json_object_get(j, "protection"));
    o.databases = json_integer_value(json_object_get(j, "databases"));
    snprintf(o.error, sizeof o.error, "%s", error ? error : "");
    json_decref(j);
    *out = o;
    return true;
}

bool own_write(const char *folder, const struct own *o)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    if (!path_of(folder, "agent.json", path) || !path_of(folder, "agent.json.new", fresh))
        return false;
    json_t *j = json_pack("{s:b, s:I, s:s}", "protection", o->protection, "databases", (json_int_t)o->databases,
                          "activation_error", o->error);
    mode_t before = umask(077);
    bool fine = json_dump_file(j, fresh, JSON_INDENT(1)) == 0 && rename(fresh, path) == 0;
    umask(before);
    json_decref(j);
    return fine;
}

void own_forget(const char *folder)
{
    static const char *const names[] = {"agent.json", "agent.json.new", "agent.log", "agent.log.1"};
    char path[PATH_MAX];
    for (size_t i = 0; i < COUNT(names); i++)
        if (path_of(folder, names[i], path))
            (void)unlink(path);
}

void own_information(const struct own *o, int64_t now, char out[static 100])
{
    snprintf(out, 100, "{\"protection\": \"%s\", \"databases\": \"%s\"}", o->protection ? "on" : "off",
             now - o->databases < OUTDATED_S ? "current" : "outdated");
}
