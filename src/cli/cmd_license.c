/* troth license: activation codes. */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "features/licenses/licenses.h"

static struct locale english(const struct call *c)
{
    const struct catalog *catalog = c->portal->privacy.catalog;
    int l = MAX_OF(catalog_find_language(catalog, STR("en")), 0);
    return (struct locale){l, catalog_language(catalog, l), NULL, c->portal->privacy.formats};
}

/* ---- issue ---- */

static int write_codes(struct call *c, const char *path, str text)
{
    CLEANUP(fd_close) int fd = openat(c->dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        fprintf(c->err, "troth: %s: %s\n", path, strerror(errno));
        return EXIT_REFUSED;
    }
    if (fd_write_all(fd, text, &c->fault) == OK && fsync(fd) == 0)
        return EXIT_GOOD;
    unlinkat(c->dir, path, 0);
    return call_failed(c, path);
}

/* A file that cannot be made is to be known before there are codes. */
static bool can_make(struct call *c, const char *path)
{
    if (path == NULL || faccessat(c->dir, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    fprintf(c->err, "troth: %s: there is such a file already\n", path);
    return false;
}

static int issue(struct call *c)
{
    const char *key = call_option(c, "--product"), *number = call_option(c, "--count"), *note = call_option(c, "--note"),
               *path = call_option(c, "--out");
    int64_t n = 0;
    struct lot lot;
    char *codes;
    if (key == NULL || number == NULL || c->argc != 2 || !str_to_int(str_from(number), &n) || n < 1 || n > LOT_CODES_MAX)
        return call_usage(c, "wants a product and how many, from 1 to 100000");
    const struct product *product = product_named(c->portal, str_from(key));
    if (product == NULL)
        return call_failed(c, "the catalogue has no such product: `troth license catalogue` lists them");
    if (!can_make(c, path))
        return EXIT_REFUSED;
    if (lot_issue(c->portal, product, n, str_from(note), STR(""), c->arena, &lot, &codes, &c->fault) != OK)
        return call_failed(c, "license");
    struct buf b = buf_new(c->arena, (size_t)n * (LICENSE_CODE_TEXT + 1));
    for (int64_t i = 0; i < n; i++)
        buf_fmt(&b, "%.*s\n", STR_FMT(license_code_text(c->arena, str_of(codes + i * LICENSE_CODE_LENGTH, LICENSE_CODE_LENGTH))));
    if (path == NULL) {
        fwrite(b.p, 1, b.n, c->out);
    } else {
        int code = write_codes(c, path, buf_str(&b));
        if (code != EXIT_GOOD) {
            fprintf(c->err, "troth: nobody has the codes of lot %.*s: revoke it\n", STR_FMT(lot.lot));
            return code;
        }
    }
    fprintf(c->err, "Lot %.*s: %lld of %s. They are not kept, and cannot be printed again.\n", STR_FMT(lot.lot), (long long)n, key);
    return EXIT_GOOD;
}

/* ---- revoke ---- */

struct revoking {
    struct portal *p;
    str lot;
    char code[LICENSE_CODE_LENGTH];
};

static enum err revoke_it(struct tx *tx, void *arg)
{
    struct revoking *r = arg;
    return r->lot.n > 0 ? lot_revoke(tx, r->p, r->lot) : code_revoke(tx, r->p, r->code);
}

static int withdraw(struct call *c)
{
    struct revoking r = {.p = c->portal};
    if (c->argc != 3)
        return call_usage(c, "wants a code or a lot");
    str what = str_from(c->argv[2]);
    enum code_shape shape = license_code_check(what, r.code);
    if (lot_ok(what))
        r.lot = what;
    else if (shape != CODE_FINE)
        return call_failed(c, shape == CODE_SLIP ? "a character of the code is wrong" : "that is neither a code nor a lot");
    enum err e = db_transact(c->portal->privacy.db, c->arena, &c->fault, revoke_it, &r);
    if (e == ERR_NOT_FOUND)
        fault_clear(&c->fault);
    if (e != OK)
        return call_failed(c, e != ERR_NOT_FOUND ? "license" : r.lot.n ? "there is no such lot" : "no such code was issued");
    work_wake(c->portal->work);
    fprintf(c->out, r.lot.n ? "The lot is revoked; licenses that were made of its codes end now.\n"
                            : "The code is revoked, and the license that was made of it.\n");
    return EXIT_GOOD;
}

/* ---- catalogue ---- */

static int catalogue(struct call *c)
{
    size_t n;
    const struct product *list = product_list(c->portal, &n);
    struct locale l = english(c);
    if (c->argc != 2)
        return call_usage(c, NULL);
    for (size_t i = 0; i < n; i++) {
        const struct product *p = &list[i];
        fprintf(c->out, "%-24.*s %-28.*s %-5.*s %3lld device%s  %.*s%s\n", STR_FMT(p->key), STR_FMT(product_name(p, &l)),
                STR_FMT(term_format(c->arena, p->term)), (long long)p->devices, p->devices == 1 ? " " : "s",
                STR_FMT(p->price_text), p->trial ? "trial" : "");
    }
    return EXIT_GOOD;
}

int command_license(struct call *c)
{
    static const struct {
        const char *name;
        int (*run)(struct call *c);
    } deeds[] = {{"issue", issue}, {"revoke", withdraw}, {"catalogue", catalogue}};
    for (size_t i = 0; c->argc > 1 && i < COUNT(deeds); i++)
        if (strcmp(c->argv[1], deeds[i].name) == 0)
            return deeds[i].run(c);
    return call_usage(c, NULL);
}
