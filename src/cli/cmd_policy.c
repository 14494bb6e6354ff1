#include "cli/command.h"

#include <string.h>

#include "base/file.h"
#include "cli/control.h"
#include "privacy/policy.h"

/* `troth policy due ANCHOR TERM`: the arithmetic of promises, by itself. */
static int due(struct call *c)
{
    moment anchor;
    struct term term;
    if (c->argc != 4)
        return call_usage(c, "due wants a moment and a term");
    if (moment_parse(str_from(c->argv[2]), &anchor) != OK)
        return call_usage(c, "the anchor is a moment: 2026-01-31T12:00:00Z");
    if (term_parse(str_from(c->argv[3]), &term) != OK)
        return call_usage(c, "the term is a duration: P1M, P14D, P1Y");
    fprintf(c->out, "%.*s\n", STR_FMT(moment_format(c->arena, term_end(anchor, term))));
    return EXIT_GOOD;
}

static void print_list(struct call *c, const char *before, const json_t *texts)
{
    for (size_t i = 0; i < json_array_size(texts); i++) {
        str s = json_str(json_array_get(texts, i));
        fprintf(c->out, "%s%.*s\n", before, STR_FMT(s));
    }
}

static void print_service(struct call *c, const json_t *body)
{
    str title = json_get_str(body, "title");
    fprintf(c->out, "%.*s\n\n", STR_FMT(title));
    const json_t *records = json_object_get(body, "records");
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *r = json_array_get(records, i), *fields = json_object_get(r, "fields");
        str name = json_get_str(r, "title"), why = json_get_str(r, "purpose");
        str basis = json_get_str(r, "legal_basis_text");
        fprintf(c->out, "  %.*s\n    %.*s (%.*s)\n", STR_FMT(name), STR_FMT(why), STR_FMT(basis));
        for (size_t k = 0; k < json_array_size(fields); k++) {
            str label = json_get_str(json_array_get(fields, k), "label");
            fprintf(c->out, "%s%.*s", k ? ", " : "    ", STR_FMT(label));
        }
        fprintf(c->out, "\n");
        print_list(c, "    - ", json_object_get(r, "kept"));
        fprintf(c->out, "\n");
    }
}

static int show_text(struct call *c, const struct privacy *p, const struct locale *l, str service,
                     bool json)
{
    CLEANUP(json_done) json_t *all = json_object();
    json_t *policies = json_put_array(all, "policies");
    bool found = false;
    for (size_t i = 0; i < p->inventory->n_services; i++) {
        str s = p->inventory->services[i];
        if (service.n > 0 && !str_eq(service, s))
            continue;
        found = true;
        CLEANUP(json_done) json_t *body = policy_body(p, c->arena, s, l);
        if (json)
            json_array_append(policies, body);
        else
            print_service(c, body);
    }
    if (json && found)
        fprintf(c->out, "%.*s\n", STR_FMT(json_encode(c->arena, all, true)));
    return found ? EXIT_GOOD : call_usage(c, "no such service");
}

static int show(struct call *c, const struct privacy *p, const char *format, const struct locale *l)
{
    str service = c->argc > 2 ? str_from(c->argv[2]) : (str){NULL, 0};
    if (strcmp(format, "csv") == 0) {
        fprintf(c->out, "%.*s", STR_FMT(policy_record_csv(p, c->arena, l)));
        return EXIT_GOOD;
    }
    if (strcmp(format, "dpv") == 0) {
        CLEANUP(json_done) json_t *j = policy_record_dpv(p, c->arena, l);
        fprintf(c->out, "%.*s\n", STR_FMT(json_encode(c->arena, j, true)));
        return EXIT_GOOD;
    }
    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        return call_usage(c, "formats are text, json, csv and dpv");
    return show_text(c, p, l, service, strcmp(format, "json") == 0);
}

static int command_show(struct call *c)
{
    const char *format = call_option(c, "--format"), *language = call_option(c, "--language");
    struct portal_words w;
    if (c->argc > 3)
        return call_usage(c, NULL);
    if (portal_words(&w, c->settings, c->arena, &c->fault) != OK)
        return call_failed(c, NULL);
    struct privacy p = {.inventory = w.inventory, .organisation = w.organisation,
                        .catalog = w.catalog, .formats = w.formats};
    int n = language ? catalog_find_language(w.catalog, str_from(language)) : 0;
    struct locale l = {n, n >= 0 ? catalog_language(w.catalog, n) : "en", NULL, w.formats};
    int code = n < 0 ? call_usage(c, "no such language") : show(c, &p, format ? format : "text", &l);
    formats_free(&w.formats);
    return code;
}

static int say_check(struct call *c, struct db *db, const struct privacy *p)
{
    str service;
    CLEANUP(tx_end) struct tx *tx = tx_begin(db, TX_READ, c->arena, &c->fault);
    if (policy_check(tx, p, &service) != OK)
        return call_failed(c, "policy check");
    if (service.n == 0) {
        fprintf(c->out, "What is published is what is declared.\n");
        return EXIT_GOOD;
    }
    fprintf(c->out, "The policy of %.*s is not what is declared; it is published at the next start.\n",
            STR_FMT(service));
    return EXIT_REFUSED;
}

/* Without opening the portal, which would publish first. */
static int check_alone(struct call *c)
{
    struct portal_words w;
    struct db *db = NULL;
    struct db_config config = {.url = c->settings->database};
    if (portal_words(&w, c->settings, c->arena, &c->fault) != OK)
        return call_failed(c, NULL);
    int code = EXIT_REFUSED;
    if (db_open(&db, &config, &c->fault) == OK) {
        struct privacy p = {.inventory = w.inventory, .organisation = w.organisation,
                            .catalog = w.catalog, .formats = w.formats, .db = db};
        code = say_check(c, db, &p);
        db_close(&db);
    } else {
        code = call_failed(c, "policy check");
    }
    formats_free(&w.formats);
    return code;
}

/* On SQLite only the owner of the data directory may open it: a server that runs answers itself. */
static int command_check(struct call *c)
{
    CLEANUP(fd_close) int lock = -1;
    int code;
    if (c->argc != 2)
        return call_usage(c, "check takes no arguments");
    if (c->portal != NULL)
        return say_check(c, c->portal->privacy.db, &c->portal->privacy);
    if (!portal_on_sqlite(c->settings) || portal_lock(c->settings, &lock, &c->fault) == OK)
        return check_alone(c);
    fault_clear(&c->fault);
    return control_call(c->settings, c->argc, c->argv, &code, &c->fault) == OK ? code
                                                                                : call_failed(c, NULL);
}

int command_policy(struct call *c)
{
    const char *what = c->argc > 1 ? c->argv[1] : "";
    if (strcmp(what, "due") == 0)
        return due(c);
    if (strcmp(what, "show") == 0)
        return command_show(c);
    if (strcmp(what, "check") == 0)
        return command_check(c);
    return call_usage(c, NULL);
}
