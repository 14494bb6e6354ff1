#include "cli/portal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/embedded.h"
#include "cli/migrations.h"
#include "privacy/consent.h"
#include "privacy/enrolment.h"
#include "privacy/lookup.h"
#include "privacy/policy.h"
#include "privacy/reading.h"
#include "privacy/retention.h"
#include "web/place.h"

enum { WORDS_BYTES = 64 << 20, MAX_OVERLAY = 4 << 20, MAX_LISTS = 64, MAX_PARTS = 64 };

static const char *const languages[] = {"en", "sv"};

const struct rate_config portal_rates[RATE_CLASSES] = {
    [RATE_PAGE] = {200, 1000},
    [RATE_FORM] = {20, 200},
    [RATE_SIGN_IN] = {5, 100},
    [RATE_MAIL] = {2, 50},
    [RATE_REPORT] = {500, 5000},
    [RATE_TOKEN] = {2, 60},
};
static const struct rate_config no_rates[RATE_CLASSES];

/* ---- words: what is embedded, and what lies over it ---- */

/* "account/views/sign-up.html": is it a view? Its name is then "account/sign-up". */
static bool view_name(struct arena *a, str path, str ending, str *name)
{
    str room, rest;
    if (!str_ends(path, ending) || !str_cut(path, '/', &room, &rest) ||
        !str_starts(rest, STR("views/")))
        return false;
    rest = str_skip(rest, 6);
    *name = str_fmt(a, "%.*s/%.*s", STR_FMT(room), STR_FMT(str_head(rest, rest.n - ending.n)));
    return true;
}

/* The operator's own file of that path, if there is one. */
static enum err overlaid(const struct settings *s, struct arena *a, const char *path, str *out,
                         bool *found, struct fault *f)
{
    *found = false;
    if (s->overlay.n == 0)
        return OK;
    const char *full = str_fmt(a, "%.*s/%s", STR_FMT(s->overlay), path).p;
    if (!file_exists(full))
        return OK;
    *found = true;
    return file_read(a, full, MAX_OVERLAY, out, f);
}

static enum err add_views(struct portal_words *w, const struct settings *s, struct arena *a,
                          struct fault *f)
{
    for (size_t i = 0; i < n_embedded; i++) {
        str name, path = str_from(embedded[i].path), text = {embedded[i].bytes, embedded[i].size};
        bool html = view_name(a, path, STR(".html"), &name), found;
        if (!html && !view_name(a, path, STR(".txt"), &name))
            continue;
        TRY(overlaid(s, a, embedded[i].path, &text, &found, f));
        template_add(html ? w->html : w->plain, name, text);
    }
    TRY(template_compile(w->html, f));
    return template_compile(w->plain, f);
}

static enum err add_texts(struct portal_words *w, const struct settings *s, struct arena *a,
                          struct fault *f)
{
    for (size_t l = 0; l < COUNT(languages); l++) {
        str ending = str_fmt(a, "/locale/%s.mo", languages[l]);
        for (size_t i = 0; i < n_embedded; i++) {
            bool found;
            str own;
            if (!str_ends(str_from(embedded[i].path), ending))
                continue;
            enum err e = catalog_add(w->catalog, languages[l],
                                     (str){embedded[i].bytes, embedded[i].size}, false, f);
            if (e != OK)
                fault_prefix(f, "%s: ", embedded[i].path);
            TRY(e);
            TRY(overlaid(s, a, embedded[i].path, &own, &found, f));
            if (found)
                TRY(catalog_add(w->catalog, languages[l], own, true, f));
        }
    }
    return catalog_complete(w->catalog, f);
}

static enum err read_declarations(struct inventory **out, struct arena *a, struct fault *f)
{
    struct inventory_source sources[MAX_PARTS];
    size_t n = 0;
    for (size_t i = 0; i < n_embedded && n < MAX_PARTS; i++)
        if (str_ends(str_from(embedded[i].path), STR("/records.yaml")))
            sources[n++] = (struct inventory_source){str_from(embedded[i].path),
                                                     {embedded[i].bytes, embedded[i].size}};
    return inventory_read(a, sources, n, out, f);
}

static str embedded_file(const char *path)
{
    for (size_t i = 0; i < n_embedded; i++)
        if (strcmp(embedded[i].path, path) == 0)
            return (str){embedded[i].bytes, embedded[i].size};
    return (str){NULL, 0};
}

static enum err read_organisation(struct portal_words *w, struct inventory *v, const struct settings *s,
                                  struct arena *a, struct fault *f)
{
    struct organisation *o;
    str text = embedded_file("demo/organisation.yaml"), name = STR("organisation.yaml");
    if (s->organisation_file.n > 0) {
        name = s->organisation_file;
        TRY(file_read(a, str_cstr(a, name), MAX_OVERLAY, &text, f));
    }
    TRY(organisation_read(a, name, text, languages, COUNT(languages), &o, f));
    TRY(organisation_choose_periods(o, v, f));
    TRY(organisation_check(o, v, f));
    w->organisation = o;
    return OK;
}

/* What is licensed. The feature takes it apart, and says in which line what is wrong. */
static enum err read_catalogue(struct portal *p, struct fault *f)
{
    const struct settings *s = p->settings;
    p->catalogue_name = STR("catalogue.yaml");
    p->catalogue_text = embedded_file("demo/catalogue.yaml");
    if (s->catalogue.n == 0)
        return OK;
    p->catalogue_name = s->catalogue;
    return file_read(p->arena, str_cstr(p->arena, s->catalogue), MAX_OVERLAY, &p->catalogue_text, f);
}

struct text_check {
    const struct catalog *catalog;
    struct fault *fault;
};

static enum err has_text(str key, void *arg)
{
    struct text_check *t = arg;
    if (catalog_key(t->catalog, key) >= 0)
        return OK;
    return FAIL(t->fault, ERR_INPUT, "the declarations need a text %.*s, and no .po file has it",
                STR_FMT(key));
}

enum err portal_words(struct portal_words *out, const struct settings *s, struct arena *a,
                      struct fault *f)
{
    struct portal_words w = {.catalog = catalog_new(a, languages, COUNT(languages))};
    TRY(add_texts(&w, s, a, f));
    w.html = template_set_new(a, TEMPLATE_HTML, w.catalog);
    w.plain = template_set_new(a, TEMPLATE_PLAIN, w.catalog);
    TRY(add_views(&w, s, a, f));
    struct inventory *v;
    TRY(read_declarations(&v, a, f));
    TRY(read_organisation(&w, v, s, a, f));
    w.inventory = v;
    struct text_check t = {w.catalog, f};
    TRY(inventory_each_text(w.inventory, a, has_text, &t));
    w.formats = formats_new();
    *out = w;
    return OK;
}

/* ---- the data directory ---- */

bool portal_on_sqlite(const struct settings *s)
{
    return str_starts(s->database, STR("sqlite:"));
}

enum err portal_lock(const struct settings *s, int *fd, struct fault *f)
{
    struct arena *a = arena_new(64 * 1024);
    const char *dir = str_cstr(a, s->data);
    const char *path = str_fmt(a, "%s/lock", dir).p;
    enum err e = dir_make(dir, 0700, f);
    if (e == OK) {
        *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (*fd < 0)
            e = FAIL(f, err_from_errno(errno), "open %s: %s", path, strerror(errno));
        else if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
            fd_close(fd);
            e = FAIL(f, ERR_CONFLICT, "another process has the data directory %s", dir);
        }
    }
    arena_free(&a);
    return e;
}

/* ---- opening ---- */

/* An empty database beside a keyring that is not is a wrong path, or data that is still to be
 * restored. To join the two would destroy every key, and with it all that a backup holds. */
static enum err check_emptiness(struct portal *p, struct arena *a, struct fault *f)
{
    struct vault_state s;
    TRY(vault_state(p->privacy.vault, a, &s, f));
    if (s.subjects == 0)
        return OK;
    return FAIL(f, ERR_CONFLICT,
                "the database is empty, and the keyring holds the keys of %lld people: restore the "
                "data first, or remove the keyring too",
                (long long)s.subjects);
}

static enum err bring_up_to_date(struct portal *p, enum portal_need need, int *changes,
                                 struct fault *f)
{
    enum schema_state state;
    struct arena *a = arena_new(32 << 20);
    enum err e = schema_check(p->privacy.db, &p->privacy.inventory->schema, &migrations, a, &state, f);
    bool fill = e == OK && state == SCHEMA_EMPTY;
    if (fill)
        e = check_emptiness(p, a, f);
    if (fill && e != OK) {
        arena_free(&a);
        return e;
    }
    if (need == PORTAL_MIGRATE || fill) {
        /* What the check complained of may be what a migration mends. */
        if (need == PORTAL_MIGRATE)
            fault_clear(f);
        e = schema_migrate(p->privacy.db, &p->privacy.inventory->schema, &migrations, a, changes, f);
    } else if (e == OK && state == SCHEMA_OLDER) {
        e = FAIL(f, ERR_CONFLICT, "the database is from an older version: run `troth migrate`");
    }
    arena_free(&a);
    return e;
}

static enum err open_vault(struct portal *p, struct db *keyring, struct fault *f)
{
    const struct settings *s = p->settings;
    struct migrations none = {NULL, 0};
    struct arena *a = p->arena;
    struct vault_config config = {
        .master_path = str_cstr(a, s->master_key_file),
        .next_path = s->master_key_next_file.n ? str_cstr(a, s->master_key_next_file) : NULL,
        .read_only = s->master_key_read_only,
    };
    TRY(schema_migrate(keyring, vault_schema(), &none, a, NULL, f));
    return vault_start(&p->privacy.vault, &config, keyring, p->privacy.clock, f);
}

static enum err open_stores(struct portal *p, struct fault *f)
{
    const struct settings *s = p->settings;
    int connections = (int)s->max_connections / 2 + 8;
    struct db_config main_db = {.url = s->database, .connections = MIN_OF(connections, 40)};
    struct db_config key_db = {.url = s->keyring, .space = "keyring", .connections = MIN_OF(connections, 40)};
    struct db *keyring = NULL;
    TRY(dir_make(str_cstr(p->arena, s->data), 0700, f));
    TRY(db_open(&p->privacy.db, &main_db, f));
    TRY(db_open(&keyring, &key_db, f));
    enum err e = open_vault(p, keyring, f);
    if (e != OK)
        db_close(&keyring);
    return e;
}

static const void *copy_list(struct arena *a, const void *list, size_t n, size_t size)
{
    void *out = arena_array(a, n, size);
    if (n)
        memcpy(out, list, n * size);
    return out;
}

/* The features' lists, one after the other. */
struct gathered {
    const struct route *routes[MAX_LISTS];
    size_t n_routes;
    struct menu_entry menu[MAX_PARTS];
    size_t n_menu;
    struct job_kind jobs[MAX_PARTS];
    size_t n_jobs;
    struct task tasks[MAX_PARTS];
    size_t n_tasks;
    struct named_check checks[MAX_PARTS];
    size_t n_checks;
    person_fn *person;
    standing_fn *standing;
    device_fn *device;
};

#define GATHER(to, n_to, from, n_from)                                                             \
    for (size_t k_ = 0; k_ < (n_from) && (n_to) < COUNT(to); k_++)                                 \
    (to)[(n_to)++] = (from)[k_]

static void add_to_menu(struct gathered *g, const struct menu_entry *e)
{
    size_t at = g->n_menu;
    if (at == COUNT(g->menu))
        return;
    for (g->n_menu++; at > 0 && g->menu[at - 1].place > e->place; at--)
        g->menu[at] = g->menu[at - 1];
    g->menu[at] = *e;
}

extern const struct task portal_tasks[];
extern const size_t n_portal_tasks;

static enum err check_cookies(struct check *c)
{
    struct portal *p = c->app;
    return web_check_cookies(p->web, c);
}

static void gather(struct gathered *g)
{
    g->checks[g->n_checks++] = (struct named_check){"check_marketing_mail", check_marketing_mail};
    g->checks[g->n_checks++] = (struct named_check){"check_cookies", check_cookies};
    g->checks[g->n_checks++] = (struct named_check){"check_readings", check_readings};
    GATHER(g->tasks, g->n_tasks, portal_tasks, n_portal_tasks);
    for (size_t i = 0; i < n_features; i++) {
        const struct feature *f = features[i];
        for (const struct route *const *list = f->routes; list && *list; list++)
            g->routes[g->n_routes++] = *list;
        for (size_t k = 0; k < f->n_menu; k++)
            add_to_menu(g, &f->menu[k]);
        GATHER(g->jobs, g->n_jobs, f->jobs, f->n_jobs);
        GATHER(g->tasks, g->n_tasks, f->tasks, f->n_tasks);
        GATHER(g->checks, g->n_checks, f->checks, f->n_checks);
        if (f->person)
            g->person = f->person;
        if (f->standing)
            g->standing = f->standing;
        if (f->device)
            g->device = f->device;
    }
}

static void wake(void *app)
{
    struct portal *p = app;
    if (p->work)
        work_wake(p->work);
}

static enum err open_mailer(struct portal *p, const struct portal_words *w, struct fault *f)
{
    const struct settings *s = p->settings;
    struct mail_config config = {
        .target = s->mail,
        .from = s->mail_from,
        .from_name = p->privacy.organisation->product,
        .ca_file = s->mail_ca_file.n ? str_cstr(p->arena, s->mail_ca_file) : NULL,
        .html = w->html,
        .plain = w->plain,
        .privacy = &p->privacy,
    };
    return mailer_open(&p->mailer, &config, f);
}

static enum err open_rooms(struct portal *p, const struct portal_words *w, struct fault *f)
{
    const struct settings *s = p->settings;
    struct gathered g = {0};
    gather(&g);
    p->facts = (struct verify_facts){
        .migrations = &migrations,
        .checks = copy_list(p->arena, g.checks, g.n_checks, sizeof *g.checks),
        .n_checks = g.n_checks,
        .rotation = s->master_key_every,
        .app = p,
    };
    TRY(verify_check_names(p->privacy.inventory, &p->facts, f));
    TRY(open_mailer(p, w, f));
    struct work_config work = {
        .db = p->privacy.db,
        .clock = p->privacy.clock,
        .log = p->privacy.log,
        .app = p,
        .kinds = copy_list(p->arena, g.jobs, g.n_jobs, sizeof *g.jobs),
        .n_kinds = g.n_jobs,
        .tasks = copy_list(p->arena, g.tasks, g.n_tasks, sizeof *g.tasks),
        .n_tasks = g.n_tasks,
        .workers = (int)s->workers,
        .alone = portal_on_sqlite(s),
    };
    TRY(work_open(&p->work, &work, f));
    TRY(places_open(&p->places, s->places, f));
    struct web_config web = {
        .privacy = &p->privacy,
        .pages = w->html,
        .app = p,
        .public_url = s->public_url,
        .routes = copy_list(p->arena, g.routes, g.n_routes, sizeof *g.routes),
        .n_lists = g.n_routes,
        .menu = copy_list(p->arena, g.menu, g.n_menu, sizeof *g.menu),
        .n_menu = g.n_menu,
        .person = g.person,
        .standing = g.standing,
        .device = g.device,
        .rates = s->limits_off ? no_rates : portal_rates,
        .committed = wake,
        .places = p->places,
        .behind_proxy = s->behind_proxy,
        .demo = s->demo,
    };
    return web_open(&p->web, &web, f);
}

/* A restored backup has hashes of a key that was replaced since: nobody in it would be found, and
 * their addresses would seem free. One that cannot be read is no reason not to start. */
static void catch_up(struct portal *p)
{
    struct fault why = {0};
    int64_t rehashed = 0;
    if (lookup_catch_up(&p->privacy, &rehashed, &why) != OK)
        log_fault(p->privacy.log, "lookups-behind", (str){NULL, 0}, &why);
    else if (rehashed > 0)
        log_event(p->privacy.log, LOG_INFO, "lookups-caught-up", LOG_INT("lookups", rehashed));
}

static enum err open_portal(struct portal *p, enum portal_need need, int *changes, struct fault *f)
{
    struct portal_words w;
    for (size_t i = 0; i < n_features; i++)
        if (features[i]->before)
            TRY(features[i]->before(p, f));
    TRY(portal_words(&w, p->settings, p->arena, f));
    TRY(read_catalogue(p, f));
    struct files *files = ARENA_NEW(p->arena, struct files);
    files->dir = str_cstr(p->arena, str_fmt(p->arena, "%.*s/files", STR_FMT(p->settings->data)));
    p->privacy.inventory = w.inventory;
    p->privacy.organisation = w.organisation;
    p->privacy.catalog = w.catalog;
    p->privacy.formats = w.formats;
    p->privacy.policies = policies_new();
    p->privacy.pages = w.html;
    p->privacy.files = files;
    TRY(open_stores(p, f));
    TRY(bring_up_to_date(p, need, changes, f));
    catch_up(p);
    TRY(retention_load(&p->privacy, p->arena, f));
    TRY(consent_publish(&p->privacy, f));
    TRY(terms_publish(&p->privacy, f));
    TRY(policy_publish(&p->privacy, NULL, f));
    TRY(open_rooms(p, &w, f));
    for (size_t i = 0; i < n_features; i++)
        if (features[i]->start)
            TRY(features[i]->start(p, f));
    return OK;
}

enum err portal_open(struct portal **out, const struct settings *s, const struct clock *clock,
                     const struct log *log, enum portal_need need, int *changes, struct fault *f)
{
    struct arena *a = arena_new(WORDS_BYTES);
    struct portal *p = ARENA_NEW(a, struct portal);
    p->arena = a;
    p->settings = s;
    p->file = embedded_file;
    p->privacy.clock = clock;
    p->privacy.log = log;
    p->started = clock_now(clock);
    enum err e = open_portal(p, need, changes, f);
    if (e != OK)
        portal_close(&p);
    else
        *out = p;
    return e;
}

void portal_close(struct portal **portal)
{
    struct portal *p = *portal;
    *portal = NULL;
    if (p == NULL)
        return;
    work_close(&p->work);
    for (size_t i = 0; i < n_features; i++)
        if (features[i]->stop)
            features[i]->stop(p);
    web_close(&p->web);
    places_close(&p->places);
    mailer_close(&p->mailer);
    struct db *keyring = p->privacy.vault ? vault_keyring(p->privacy.vault) : NULL;
    vault_stop(&p->privacy.vault);
    db_close(&keyring);
    db_close(&p->privacy.db);
    formats_free(&p->privacy.formats);
    policies_free(&p->privacy.policies);
    struct arena *a = p->arena;
    arena_free(&a);
}

/* ---- what the portal does by itself ---- */

enum err portal_rotate(struct portal *p, struct arena *a, int64_t *rewrapped, struct fault *f)
{
    int64_t rehashed;
    /* The hashes first: then the key of those before was never wrapped by the master key to come,
     * and where this is cut off, the rotation is still due and all of it is done again. */
    TRY(lookup_renew(&p->privacy, &rehashed, f));
    TRY(vault_rotate(p->privacy.vault, a, rewrapped, f));
    log_event(p->privacy.log, LOG_INFO, "master-key-replaced", LOG_INT("keys", *rewrapped),
              LOG_INT("lookups", rehashed));
    return db_checkpoint(p->privacy.db, f);
}

static enum err sweep(struct portal *p, bool whole, struct arena *a, struct fault *f)
{
    struct sweep_report r;
    TRY(retention_sweep(&p->privacy, false, whole, a, &r, f));
    log_event(p->privacy.log, LOG_INFO, "swept", LOG_INT("records", r.records),
              LOG_INT("subjects", r.subjects), LOG_INT("files", r.files));
    return OK;
}

static enum err task_sweep(void *app, struct arena *a, struct fault *f)
{
    return sweep(app, false, a, f);
}

static enum err task_reconcile(void *app, struct arena *a, struct fault *f)
{
    return sweep(app, true, a, f);
}

static enum err task_verify(void *app, struct arena *a, struct fault *f)
{
    struct portal *p = app;
    int broken;
    (void)a;
    TRY(verify_run(&p->privacy, &p->facts, &broken, f));
    log_event(p->privacy.log, broken ? LOG_ERROR : LOG_INFO, "verified", LOG_INT("broken", broken));
    return OK;
}

static enum err task_rotate(void *app, struct arena *a, struct fault *f)
{
    struct portal *p = app;
    struct vault_state s;
    int64_t rewrapped = 0;
    if (p->settings->master_key_by_operator)
        return OK;
    TRY(vault_state(p->privacy.vault, a, &s, f));
    if (!s.rotating && clock_now(p->privacy.clock) < term_end(s.since, p->settings->master_key_every))
        return OK;
    return portal_rotate(p, a, &rewrapped, f);
}

const struct task portal_tasks[] = {
    {"reconcile", task_reconcile, MOMENT_DAY},
    {"sweep", task_sweep, MOMENT_HOUR},
    {"rotate", task_rotate, MOMENT_HOUR},
    {"verify", task_verify, MOMENT_DAY},
};
const size_t n_portal_tasks = COUNT(portal_tasks);
