/*
 * What a feature is: one constant, with its routes, jobs, tasks, promises and menu entries. Its
 * records, views and translations lie in its folder and are embedded in the program. The list of
 * features is generated from the folders (src/features/meson.build).
 */
#ifndef FEATURES_FEATURE_H
#define FEATURES_FEATURE_H

#include "privacy/verify.h"
#include "web/web.h"
#include "work/mail.h"
#include "work/work.h"

/* What the operator has set; cli/config.c reads it and says what each means. */
struct settings {
    str data;       /* the data directory */
    str listen;
    str database, keyring; /* URLs */
    str public_url;
    str master_key_file, master_key_next_file;
    bool master_key_read_only;
    struct term master_key_every; /* how often it is replaced */
    bool master_key_by_operator;  /* the program does not replace it by itself */
    str mail, mail_from, mail_ca_file;
    str organisation_file; /* empty: the one of the demo */
    str overlay;           /* a folder with the operator's own views and translations; or empty */
    struct term reopen_window; /* how long a closed account can be reopened */
    int64_t argon_memory;      /* bytes */
    int64_t argon_passes;
    int64_t max_connections;
    int64_t workers;
    bool limits_off; /* nobody is told that they ask too often */
    bool behind_proxy;
    bool demo;
    str log_level;
};

/* The whole portal; made in main and handed down. */
struct portal {
    const struct settings *settings;
    struct privacy privacy;
    struct verify_facts facts;
    struct mailer *mailer;
    struct work *work;
    struct web *web;
    void *passwords; /* features/account: the hasher */
    void *services;  /* features/services: the forms of what can be joined */
    struct arena *arena; /* of what lives as long as the process */
    moment started;
};

struct feature {
    const char *name;
    const struct route *const *routes; /* lists, ended by NULL; each ended by a row without a path */
    const struct menu_entry *menu;
    size_t n_menu;
    const struct job_kind *jobs;
    size_t n_jobs;
    const struct task *tasks;
    size_t n_tasks;
    const struct named_check *checks;
    size_t n_checks;
    person_fn *person; /* one feature has people who sign in */
    /* Called once when the portal is put together, and when it is taken apart. */
    enum err (*start)(struct portal *p, struct fault *f);
    void (*stop)(struct portal *p);
};

/* Generated: one for each folder in src/features. */
extern const struct feature *const features[];
extern const size_t n_features;

#define PORTAL(req) ((struct portal *)request_app(req))

#endif
