/* What the machine is, by what it says of itself. */
#include "client/agent/agent.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static bool read_small(const char *path, char *out, size_t max)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(out, 1, max - 1, f);
    out[n] = 0;
    fclose(f);
    return n > 0;
}

const char *facts_chassis(int number)
{
    static const char *const types[] = {
        [3] = "desktop",  [4] = "desktop",  [5] = "desktop",  [6] = "desktop",  [7] = "desktop", [8] = "laptop",
        [9] = "laptop",   [10] = "laptop",  [11] = "phone",   [13] = "desktop", [14] = "laptop", [15] = "desktop",
        [16] = "desktop", [17] = "server",  [23] = "server",  [24] = "desktop", [28] = "server", [29] = "server",
        [30] = "tablet",  [31] = "laptop",  [32] = "laptop",  [35] = "desktop", [36] = "desktop",
    };
    return number >= 0 && number < (int)COUNT(types) && types[number] ? types[number] : "other";
}

bool facts_release(const char *text, const char *name, char *out, size_t max)
{
    size_t n = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, name, n) != 0 || line[n] != '=')
            continue;
        const char *from = line + n + 1, *end = from + strcspn(from, "\n");
        if (end - from >= 2 && (*from == '"' || *from == '\'') && end[-1] == *from) {
            from++;
            end--;
        }
        size_t len = (size_t)(end - from);
        if (len == 0 || len >= max)
            return false;
        memcpy(out, from, len);
        out[len] = 0;
        return true;
    }
    return false;
}

static int chassis(void)
{
    char text[16];
    int number = 0;
    if (!read_small("/sys/class/dmi/id/chassis_type", text, sizeof text))
        return 0;
    for (const char *c = text; *c >= '0' && *c <= '9' && number < 1000; c++)
        number = number * 10 + *c - '0';
    return number & 0x7f; /* the highest bit says whether it has a lock */
}

void facts_read(struct facts *out)
{
    char release[8192];
    struct utsname kernel;
    if (uname(&kernel) != 0)
        memset(&kernel, 0, sizeof kernel);
    snprintf(out->network_name, sizeof out->network_name, "%.100s", kernel.nodename);
    if (!*out->network_name)
        snprintf(out->network_name, sizeof out->network_name, "unnamed");
    out->type = facts_chassis(chassis());
    if (!read_small("/etc/os-release", release, sizeof release) && !read_small("/usr/lib/os-release", release, sizeof release))
        *release = 0;
    if (!facts_release(release, "NAME", out->os_type, sizeof out->os_type))
        snprintf(out->os_type, sizeof out->os_type, "Linux");
    /* A rolling distribution has no version: its kernel's. */
    if (!facts_release(release, "VERSION_ID", out->os_version, sizeof out->os_version))
        snprintf(out->os_version, sizeof out->os_version, "%.60s", *kernel.release ? kernel.release : "unknown");
}
