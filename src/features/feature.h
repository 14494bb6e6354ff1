/*
 * What a feature is: one constant, with its routes, jobs, tasks, promises and menu entries. Its
 * records, views and translations lie in its folder and are embedded in the program. The list of
 * features is generated from the names in src/features/meson.build.
 */
#ifndef FEATURES_FEATURE_H
#define FEATURES_FEATURE_H

#include "base/network.h"
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
    str sms, sms_prefixes; /* an empty sms: no codes by text message */
    int64_t sms_per_day;
    str store, store_webhook_secret, store_ca_file; /* an empty store: nothing is bought here */
    str app_stores; /* a file: whose signed purchases apps may hand over; or empty */
    str organisation_file; /* empty: the one of the demo */
    str catalogue;         /* what is licensed (catalogue.yaml); empty: the one of the demo */
    str overlay;           /* a folder with the operator's own views and translations; or empty */
    struct term reopen_window; /* how long a closed account can be reopened */
    int64_t argon_memory;      /* bytes */
    int64_t argon_passes;
    int64_t max_connections;
    int64_t workers;
    bool limits_off; /* nobody is told that they ask too often */
    str live;   /* where nginx is told that whoever waits should look again; or empty */
    str places; /* a file that says about where a network address is; or empty */
    struct networks staff_networks; /* from where the desk opens; none: from anywhere */
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
    struct places *places; /* NULL: none are known */
    struct live *live;     /* NULL: nobody holds connections for us */
    void *texts;     /* features/factors: the sender of codes (struct sms), or NULL */
    void *store;     /* features/purchases: the provider, and whose signed purchases are believed */
    void *services;  /* features/services: the forms of what can be joined */
    void *connect;   /* features/connect: the declared protocol */
    /* Told after a commit that something waits for an app, by its binding; NULL: apps find out by asking. */
    void (*waiting)(struct portal *p, id binding);
    /* Where data is to lie: called in the transaction that makes an account, before its first row is written, and in
     * the one that changes its region (ISO 3166, two letters, as WPF-12 has it; empty: not told). An error ends that
     * transaction. NULL: all data lies here. The seam for portals with a database in each region. */
    enum err (*place)(struct tx *tx, struct portal *p, id account, str region);
    /* A file that is part of the program ("connect/openapi.yaml"); empty where there is none. */
    str (*file)(const char *path);
    str catalogue_name, catalogue_text; /* the file of products, as it was read */
    void *catalogue; /* features/licenses: the same, taken apart */
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
    device_fn *device; /* one has apps with tokens */
    /* Adds to the page of a service's policy what follows from another declaration: to req->view. */
    void (*policy)(struct request *req, str service);
    standing_fn *standing; /* one knows who works here */
    /* Somebody has just left a service, in the caller's transaction. */
    enum err (*left)(struct tx *tx, struct portal *p, id account);
    /* One has second factors: is one on? Where none does, nobody has one, and the desk stays shut. */
    enum err (*second_factor)(struct tx *tx, struct portal *p, id account, bool *on);
    /* Gives an account a second factor and says how to use it: for demos. */
    enum err (*demo_factor)(struct portal *p, id account, struct arena *a, str *how, struct fault *f);
    /* Called before anything is opened, with the settings alone: what forks does it here, so that a child has no
     * key in its memory. */
    enum err (*before)(struct portal *p, struct fault *f);
    /* Called once when the portal is put together, and when it is taken apart. */
    enum err (*start)(struct portal *p, struct fault *f);
    void (*stop)(struct portal *p);
};

/* Generated: one for each name in src/features/meson.build. */
extern const struct feature *const features[];
extern const size_t n_features;

/* What one feature asks of another without knowing it (hooks.c). */
CHECKED enum err feature_standing(struct tx *tx, struct portal *p, id account, str peer,
                                  struct standing *out);
void feature_policy(struct request *req, str service);
CHECKED enum err feature_left(struct tx *tx, struct portal *p, id account);
CHECKED enum err feature_second_factor(struct tx *tx, struct portal *p, id account, bool *on);
CHECKED enum err feature_demo_factor(struct portal *p, id account, struct arena *a, str *how,
                                     struct fault *f);

/* Something waits for the app of that binding: portal->waiting() hears of it when tx is committed. */
void feature_waits(struct tx *tx, struct portal *p, id binding);

#define PORTAL(req) ((struct portal *)request_app(req))

#endif
