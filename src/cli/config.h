/*
 * Configuration: one YAML file, each key also as environment TROTH_KEY; the environment goes before
 * the file. Every key is a row of one table, which reading, `troth help config` and the manual share.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "features/feature.h"

enum key_type { KEY_TEXT, KEY_TERM, KEY_INT, KEY_BYTES_SIZE, KEY_FLAG, KEY_WORD, KEY_NETWORKS };

struct config_key {
    const char *name; /* in the file; in the environment TROTH_ and capitals */
    enum key_type type;
    size_t offset; /* in struct settings */
    const char *otherwise; /* the value where none is set; NULL: see about */
    const char *const *words; /* KEY_WORD */
    int64_t least, most;      /* KEY_INT, KEY_BYTES_SIZE */
    const char *(*wrong)(struct arena *a, str value); /* KEY_TEXT: what is wrong with it, or NULL */
    const char *about;
};

extern const struct config_key config_keys[];
extern const size_t n_config_keys;

/* `file` may be NULL. ERR_INPUT names the key, and the file and line where it came from there. */
CHECKED enum err config_read(const char *file, char *const *environment, struct arena *a,
                             struct settings *out, struct fault *f);

/* Variables named TROTH_… that are no key: worth a warning. NULL at the end. */
const char *config_unknown(char *const *environment, size_t *from);

#endif
