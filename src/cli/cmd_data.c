/* Commands that work on people's data. */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "features/account/account.h"
#include "privacy/retention.h"
#include "privacy/rights.h"
#include "privacy/takeout.h"

int command_migrate(struct call *c)
{
    if (c->argc > 1)
        return call_usage(c, "takes no arguments");
    fprintf(c->out, "The database is up to date.\n");
    return EXIT_GOOD;
}

int command_sweep(struct call *c)
{
    bool dry = call_flag(c, "--dry-run");
    struct sweep_report r;
    if (c->argc > 1)
        return call_usage(c, "takes only --dry-run");
    if (retention_sweep(&c->portal->privacy, dry, true, c->arena, &r, &c->fault) != OK)
        return call_failed(c, "sweep");
    for (size_t i = 0; i < r.n; i++)
        fprintf(c->out, "%-32.*s %8lld %s\n", STR_FMT(r.lines[i].rule),
                (long long)(r.lines[i].subjects ? r.lines[i].subjects : r.lines[i].records),
                r.lines[i].subjects ? "people" : "records");
    if (r.n == 0)
        fprintf(c->out, "Nothing is due.\n");
    else if (dry)
        fprintf(c->out, "Nothing was removed: --dry-run.\n");
    return EXIT_GOOD;
}

/* ---- verify ---- */

static struct locale english(const struct call *c)
{
    return (struct locale){0, "en", NULL, c->portal->privacy.formats};
}

static void print_states(struct call *c, const struct promise_state *list, size_t n, int broken)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        static const char *const marks[] = {"kept   ", "BROKEN ", "unknown"};
        fprintf(c->out, "%s  %.*s\n         %.*s\n", marks[list[i].verdict], STR_FMT(list[i].text),
                STR_FMT(list[i].evidence));
        kept += list[i].verdict == VERDICT_KEPT;
    }
    fprintf(c->out, "\n%zu promises: %zu kept, %d broken", n, kept, broken);
    if (n - kept - (size_t)broken > 0)
        fprintf(c->out, ", %zu not known", n - kept - (size_t)broken);
    fprintf(c->out, ".\n");
}

static void print_json(struct call *c, const struct promise_state *list, size_t n)
{
    CLEANUP(json_done) json_t *all = json_object();
    json_t *promises = json_put_array(all, "promises");
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        json_t *j = json_add_object(promises);
        json_put_str(j, "promise", list[i].promise);
        json_put_str(j, "ids", list[i].ids);
        json_put_str(j, "text", list[i].text);
        json_put_text(j, "verdict", verdict_name(list[i].verdict));
        json_put_str(j, "evidence", list[i].evidence);
        json_put_moment(j, "checked", c->arena, list[i].checked);
        json_put_moment(j, "since", c->arena, list[i].since);
        kept += list[i].verdict == VERDICT_KEPT;
    }
    json_put_int(all, "kept", (int64_t)kept);
    json_put_bool(all, "all_kept", kept == n);
    fprintf(c->out, "%.*s\n", STR_FMT(json_encode(c->arena, all, true)));
}

int command_verify(struct call *c)
{
    bool json = call_flag(c, "--json");
    const struct privacy *p = &c->portal->privacy;
    struct promise_state *list;
    struct locale l = english(c);
    size_t n;
    int broken;
    if (c->argc > 1)
        return call_usage(c, "takes only --json");
    if (verify_run(p, &c->portal->facts, &broken, &c->fault) != OK)
        return call_failed(c, "verify");
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, c->arena, &c->fault);
    if (verify_states(tx, p, &l, &list, &n) != OK)
        return call_failed(c, "verify");
    if (json)
        print_json(c, list, n);
    else
        print_states(c, list, n, broken);
    return broken ? EXIT_REFUSED : EXIT_GOOD;
}

/* ---- export ---- */

static int find_person(struct call *c, const char *address, account_id *out)
{
    CLEANUP(tx_end) struct tx *tx = tx_begin(c->portal->privacy.db, TX_READ, c->arena, &c->fault);
    enum err e = account_find(tx, &c->portal->privacy, str_from(address), out);
    if (e == OK)
        return EXIT_GOOD;
    if (e == ERR_INPUT && c->fault.code == OK)
        return call_usage(c, "that is no mail address");
    if (e == ERR_NOT_FOUND)
        fault_clear(&c->fault);
    return call_failed(c, e == ERR_NOT_FOUND ? "nothing is held of anybody with that address" : NULL);
}

static int write_zip(struct call *c, const char *path, str zip)
{
    CLEANUP(fd_close) int fd = openat(c->dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        fprintf(c->err, "troth: %s: %s\n", path, strerror(errno));
        return EXIT_REFUSED;
    }
    if (fd_write_all(fd, zip, &c->fault) != OK || fsync(fd) != 0) {
        unlinkat(c->dir, path, 0);
        return call_failed(c, path);
    }
    fprintf(c->out, "%s: %zu bytes\n", path, zip.n);
    return EXIT_GOOD;
}

int command_export(struct call *c)
{
    const struct privacy *p = &c->portal->privacy;
    struct locale l = english(c);
    account_id who;
    struct account x;
    str zip;
    if (c->argc != 3)
        return call_usage(c, "wants an address and a file");
    int code = find_person(c, c->argv[1], &who);
    if (code != EXIT_GOOD)
        return code;
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, c->arena, &c->fault);
    if (account_get(tx, p, who, NULL, &x) != OK)
        return call_failed(c, "export");
    int language = catalog_find_language(p->catalog, x.language);
    if (language >= 0)
        l = (struct locale){language, catalog_language(p->catalog, language),
                            x.zone.n ? str_cstr(c->arena, x.zone) : NULL, p->formats};
    if (takeout_zip(tx, p, STR("account"), who.id, TAKEOUT_ALL, &l, &zip) != OK)
        return call_failed(c, "export");
    return write_zip(c, c->argv[2], zip);
}

/* ---- erase ---- */

struct closing {
    struct portal *p;
    account_id who;
    id receipt;
    bool closed_before;
};

static enum err close_it(struct tx *tx, void *arg)
{
    struct closing *x = arg;
    enum err e = account_close(tx, x->p, x->who, true, "operator", &x->receipt);
    x->closed_before = e == ERR_CONFLICT;
    if (!x->closed_before)
        return e;
    /* In its window for reopening: no longer. Its receipt is there. */
    struct query *q = SQL(tx, "UPDATE account SET erase_at = $2 WHERE id = $1");
    bind_id(q, x->who.id);
    bind_time(q, clock_now(x->p->privacy.clock));
    TRY(query_run(q));
    q = SQL(tx, "SELECT id FROM erasure WHERE pending = $1");
    bind_id(q, x->who.id);
    if (query_row(q))
        x->receipt = row_id(q, 0);
    return query_end(q);
}

/* The last mail has a few seconds; then the person is forgotten, whether it went or not. */
static enum err send_last_mail(struct call *c, account_id who)
{
    int64_t until = clock_ticks() + 10 * MOMENT_SECOND, waiting = 1;
    while (waiting > 0 && clock_ticks() < until) {
        int ran;
        struct timespec pause = {0, 100 * 1000 * 1000};
        struct tx *tx = tx_begin(c->portal->privacy.db, TX_READ, c->arena, &c->fault);
        enum err e = mail_waiting(tx, who.id, &waiting);
        tx_end(&tx);
        TRY(e);
        if (waiting == 0)
            return OK;
        TRY(work_run_due(c->portal->work, who.id, &ran, &c->fault));
        if (ran == 0)
            nanosleep(&pause, NULL);
    }
    return OK;
}

int command_erase(struct call *c)
{
    struct closing x = {.p = c->portal};
    if (c->argc != 2)
        return call_usage(c, "wants an address");
    int code = find_person(c, c->argv[1], &x.who);
    if (code != EXIT_GOOD)
        return code;
    if (db_transact(c->portal->privacy.db, c->arena, &c->fault, close_it, &x) != OK)
        return call_failed(c, "erase");
    if (send_last_mail(c, x.who) != OK ||
        account_erase(c->portal, x.who, false, c->arena, &c->fault) != OK ||
        db_checkpoint(c->portal->privacy.db, &c->fault) != OK ||
        db_checkpoint(vault_keyring(c->portal->privacy.vault), &c->fault) != OK)
        return call_failed(c, "erase");
    fprintf(c->out, "Erased. Receipt: %s\n%.*s/privacy/receipt?number=%s\n", x.receipt.text,
            STR_FMT(c->settings->public_url), x.receipt.text);
    return EXIT_GOOD;
}

/* ---- objections ---- */

static int list_objections(struct call *c)
{
    struct objection *list;
    size_t n;
    CLEANUP(tx_end) struct tx *tx = tx_begin(c->portal->privacy.db, TX_READ, c->arena, &c->fault);
    if (objection_open(tx, &list, &n) != OK)
        return call_failed(c, "rights");
    for (size_t i = 0; i < n; i++)
        fprintf(c->out, "%s  %.*s  %.*s\n", list[i].id.text,
                STR_FMT(moment_format(c->arena, list[i].made)), STR_FMT(list[i].purpose));
    if (n == 0)
        fprintf(c->out, "No objection waits for a decision.\n");
    return EXIT_GOOD;
}

static int show_objection(struct call *c, id which)
{
    const struct privacy *p = &c->portal->privacy;
    struct objection o;
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, c->arena, &c->fault);
    if (objection_read(tx, p, which, &o) != OK)
        return call_failed(c, "rights");
    fprintf(c->out, "%s  %.*s  %.*s\n\n%.*s\n", o.id.text,
            STR_FMT(moment_format(c->arena, o.made)), STR_FMT(o.purpose),
            STR_FMT(o.reason.n ? o.reason : STR("No reason was given.")));
    return EXIT_GOOD;
}

struct ruling {
    const struct privacy *p;
    id which;
    bool uphold;
    str by, ground;
};

static enum err rule(struct tx *tx, void *arg)
{
    const struct ruling *r = arg;
    return objection_decide(tx, r->p, r->which, r->uphold, r->by, r->ground);
}

int command_rights(struct call *c)
{
    bool uphold = call_flag(c, "--uphold"), overrule = call_flag(c, "--overrule");
    const char *by = call_option(c, "--by"), *ground = call_option(c, "--ground");
    if (c->argc == 2 && strcmp(c->argv[1], "list") == 0)
        return list_objections(c);
    struct ruling r = {&c->portal->privacy, {{0}}, uphold, str_from(by), str_from(ground)};
    if (c->argc != 3 || id_parse(str_from(c->argv[2]), &r.which) != OK)
        return call_usage(c, NULL);
    if (strcmp(c->argv[1], "show") == 0)
        return show_objection(c, r.which);
    if (strcmp(c->argv[1], "rule") != 0 || uphold == overrule)
        return call_usage(c, NULL);
    if (db_transact(c->portal->privacy.db, c->arena, &c->fault, rule, &r) != OK)
        return call_failed(c, "rights");
    fprintf(c->out, "Decided.\n");
    return EXIT_GOOD;
}
