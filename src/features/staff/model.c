/* Who works here: inviting, joining, roles, leaving. */
#include "features/staff/model.h"

#include <string.h>

#include "base/email.h"

enum { MOST = 1000, PSEUDONYM_LENGTH = 6 };

/* ---- who does ---- */

#define COLUMNS "account, id, pseudonym, roles, invited, made, removed "

static enum err read_staff(struct query *q, struct tx *tx, struct staff *out)
{
    *out = (struct staff){.account = {row_id(q, 0)},
                          .id = row_id(q, 1),
                          .pseudonym = row_text(q, 2),
                          .invited = row_time(q, 4),
                          .made = row_time(q, 5),
                          .removed = row_time(q, 6)};
    if (roles_parse(row_text(q, 3), &out->roles) != OK)
        return FAIL(tx_fault(tx), ERR_IO, "a member of staff has roles that there are not");
    return OK;
}

enum err staff_get(struct tx *tx, const struct privacy *p, account_id which, const struct key *k,
                   struct staff *out)
{
    (void)p;
    str name = {NULL, 0};
    struct query *q = SQL(tx, "SELECT " COLUMNS ", name FROM staff WHERE account = $1 AND removed IS NULL");
    bind_id(q, which.id);
    bool found = query_row(q);
    if (found) {
        TRY(read_staff(q, tx, out));
        name = row_blob(q, 7);
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    if (k != NULL)
        TRY(privacy_unseal(tx_arena(tx), k, "staff", "name", out->id, name, &out->name, tx_fault(tx)));
    return OK;
}

enum err staff_list(struct tx *tx, bool gone, struct staff **out, size_t *n)
{
    struct staff *list = ARENA_ARRAY(tx_arena(tx), struct staff, MOST);
    struct query *q = SQL(tx, "SELECT " COLUMNS "FROM staff WHERE removed IS NULL OR $1 = 1 "
                              "ORDER BY made, id LIMIT $2");
    bind_int(q, gone);
    bind_int(q, MOST);
    for (*n = 0; query_row(q); ++*n)
        TRY(read_staff(q, tx, &list[*n]));
    *out = list;
    return query_end(q);
}

str roles_words(const struct privacy *p, const struct locale *l, struct arena *a, unsigned roles)
{
    struct buf b = buf_new(a, 1000);
    for (int i = 0; i < ROLES; i++)
        if (roles & ROLE_BIT(i))
            buf_fmt(&b, "%s%.*s", b.n ? ", " : "",
                    STR_FMT(catalog_text(p->catalog, l, a, str_fmt(a, "role.%s", role_name((enum role)i)).p, NULL)));
    return buf_str(&b);
}

/* ---- mail ---- */

static struct locale locale_of(const struct privacy *p, struct arena *a, str language, str zone)
{
    int l = MAX_OF(catalog_find_language(p->catalog, language), 0);
    return (struct locale){l, catalog_language(p->catalog, l), zone.n ? str_cstr(a, zone) : NULL, p->formats};
}

static enum err tell(struct tx *tx, struct portal *p, id subject, const struct key *k, str address,
                     const struct locale *l, const char *kind, str path, unsigned roles, moment ends)
{
    struct arena *a = tx_arena(tx);
    struct email e;
    CLEANUP(json_done) json_t *values = json_object();
    TRY(tx_fail(tx, email_parse(a, address, &e)));
    json_put_str(values, "product", p->privacy.organisation->product);
    json_put_str(values, "email", e.shown);
    json_put_str(values, "roles", roles_words(&p->privacy, l, a, roles));
    json_put_moment(values, "ends", a, ends);
    struct mail mail = {.kind = kind,
                        .purpose = "deliver-messages",
                        .subject = subject,
                        .key = k,
                        .to = e.wire,
                        .locale = l,
                        .values = values};
    if (path.n > 0)
        mail.action_url = str_fmt(a, "%.*s%.*s", STR_FMT(p->settings->public_url), STR_FMT(path));
    return mail_add(tx, p->mailer, &mail);
}

/* A member hears of what changed, by mail and in the security log. */
static enum err tell_member(struct tx *tx, struct portal *p, account_id which, const char *event,
                            const char *mail, unsigned roles)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    struct account x;
    struct trail_event e = {.kind = str_from(event), .note = roles_text(a, roles, ' ')};
    TRY(vault_subject_key(p->privacy.vault, which.id, &k, a, tx_fault(tx)));
    TRY(account_get(tx, &p->privacy, which, &k, &x));
    TRY(trail_add(tx, &p->privacy, which.id, &k, &e));
    struct locale l = locale_of(&p->privacy, a, x.language, x.zone);
    return tell(tx, p, which.id, &k, x.email, &l, mail, (str){NULL, 0}, roles, 0);
}

/* ---- invitations ---- */

enum err staff_invitations(struct tx *tx, const struct privacy *p, struct staff_invitation **out,
                           size_t *n)
{
    struct arena *a = tx_arena(tx);
    struct staff_invitation *list = ARENA_ARRAY(a, struct staff_invitation, MOST);
    str *sealed = ARENA_ARRAY(a, str, MOST);
    struct query *q = SQL(tx, "SELECT id, address, roles, made, ends FROM staff_invitation WHERE ends > $1 "
                              "ORDER BY made, id LIMIT $2");
    bind_time(q, clock_now(p->clock));
    bind_int(q, MOST);
    for (*n = 0; query_row(q); ++*n) {
        struct staff_invitation *x = &list[*n];
        *x = (struct staff_invitation){.id = row_id(q, 0), .made = row_time(q, 3), .ends = row_time(q, 4)};
        sealed[*n] = row_blob(q, 1);
        if (roles_parse(row_text(q, 2), &x->roles) != OK)
            return FAIL(tx_fault(tx), ERR_IO, "an invitation has roles that there are not");
    }
    TRY(query_end(q));
    for (size_t i = 0; i < *n; i++) {
        CLEANUP(key_wipe) struct key k;
        TRY(vault_subject_key(p->vault, list[i].id, &k, a, tx_fault(tx)));
        TRY(privacy_unseal(a, &k, "staff_invitation", "address", list[i].id, sealed[i], &list[i].address, tx_fault(tx)));
    }
    *out = list;
    return OK;
}

enum err invitation_use(struct tx *tx, const struct privacy *p, id which)
{
    /* Its key goes with the next sweep. */
    struct query *q = SQL(tx, "UPDATE staff_invitation SET ends = $2 WHERE id = $1 AND ends > $2");
    bind_id(q, which);
    bind_time(q, clock_now(p->clock));
    TRY(query_run(q));
    return query_changes(q) == 1 ? OK : ERR_NOT_FOUND;
}

enum err staff_uninvite(struct tx *tx, struct portal *p, str address)
{
    struct staff_invitation *list;
    size_t n;
    struct email e, other;
    bool found = false;
    TRY(email_parse(tx_arena(tx), address, &e));
    TRY(staff_invitations(tx, &p->privacy, &list, &n));
    for (size_t i = 0; i < n; i++) {
        TRY(tx_fail(tx, email_parse(tx_arena(tx), list[i].address, &other)));
        if (!str_eq(other.same, e.same))
            continue;
        TRY(invitation_use(tx, &p->privacy, list[i].id));
        found = true;
    }
    return found ? OK : ERR_NOT_FOUND;
}

struct inviting {
    struct portal *p;
    struct email to;
    unsigned roles;
    const char *language;
    id which;
    moment ends;
};

/* In which language? The one that was said, or the account's; and whoever works here is not asked. */
static enum err invited_locale(struct tx *tx, const struct inviting *x, struct locale *out)
{
    const struct privacy *p = &x->p->privacy;
    struct account account = {0};
    struct staff staff;
    account_id which;
    enum err e = account_find(tx, p, x->to.shown, &which);
    if (e == OK) {
        TRY(account_get(tx, p, which, NULL, &account));
        e = staff_get(tx, p, which, NULL, &staff);
        if (e == OK)
            return ERR_CONFLICT;
    }
    if (e != ERR_NOT_FOUND)
        return e;
    *out = locale_of(p, tx_arena(tx), x->language ? str_from(x->language) : account.language, account.zone);
    return OK;
}

static enum err invite(struct tx *tx, void *arg)
{
    struct inviting *x = arg;
    const struct privacy *p = &x->p->privacy;
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    struct locale l;
    struct bearer secret = bearer_new();
    moment now = clock_now(p->clock);
    TRY(invited_locale(tx, x, &l));
    enum err before = staff_uninvite(tx, x->p, x->to.shown);
    if (before != OK && before != ERR_NOT_FOUND)
        return before;
    TRY(vault_subject_key(p->vault, x->which, &k, a, tx_fault(tx)));
    struct query *q = SQL(tx, "INSERT INTO staff_invitation (id, address, roles, secret, made, ends) "
                              "VALUES ($1, $2, $3, $4, $5, $6)");
    bind_id(q, x->which);
    bind_blob(q, privacy_seal(a, &k, "staff_invitation", "address", x->which, x->to.shown));
    bind_text(q, roles_text(a, x->roles, ' '));
    bind_blob(q, secret_hash(a, str_from(secret.text)));
    bind_time(q, now);
    bind_time(q, x->ends = now + STAFF_INVITED_FOR);
    TRY(query_run(q));
    return tell(tx, x->p, x->which, &k, x->to.shown, &l, "staff-invitation",
                str_fmt(a, "/staff/invitation?t=%s%s", x->which.text, secret.text), x->roles, x->ends);
}

enum err staff_invite(struct portal *p, str address, unsigned roles, const char *language,
                      struct arena *a, moment *ends, struct fault *f)
{
    struct inviting x = {.p = p, .roles = roles, .language = language, .which = id_new()};
    TRY(email_parse(a, address, &x.to));
    TRY(vault_add_subject(p->privacy.vault, x.which, "staff_invitation", a, f));
    TRY(db_transact(p->privacy.db, a, f, invite, &x));
    *ends = x.ends;
    return OK;
}

enum err invitation_find(struct tx *tx, const struct privacy *p, str token,
                         struct staff_invitation *out)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    id which;
    if (token.n != INVITATION_TOKEN_LENGTH || id_parse(str_head(token, ID_LENGTH), &which) != OK)
        return ERR_NOT_FOUND;
    struct query *q = SQL(tx, "SELECT secret, address, roles, made, ends FROM staff_invitation "
                              "WHERE id = $1 AND ends > $2");
    bind_id(q, which);
    bind_time(q, clock_now(p->clock));
    str sealed = {NULL, 0};
    struct staff_invitation x = {.id = which};
    bool found = query_row(q) && secret_eq(row_blob(q, 0), secret_hash(a, str_skip(token, ID_LENGTH))) &&
                 roles_parse(row_text(q, 2), &x.roles) == OK;
    if (found) {
        sealed = row_blob(q, 1);
        x.made = row_time(q, 3);
        x.ends = row_time(q, 4);
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    TRY(vault_subject_key(p->vault, which, &k, a, tx_fault(tx)));
    TRY(privacy_unseal(a, &k, "staff_invitation", "address", which, sealed, &x.address, tx_fault(tx)));
    *out = x;
    return OK;
}

/* ---- joining, changing, leaving ---- */

enum err staff_join(struct tx *tx, struct portal *p, account_id which, str name, unsigned roles,
                    moment invited)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    struct staff there;
    id row = id_new(), other = id_new();
    enum err e = staff_get(tx, &p->privacy, which, NULL, &there);
    if (e == OK)
        return ERR_CONFLICT;
    if (e != ERR_NOT_FOUND)
        return e;
    TRY(vault_subject_key(p->privacy.vault, which.id, &k, a, tx_fault(tx)));
    struct query *q = SQL(tx, "INSERT INTO staff (account, id, name, pseudonym, roles, invited, made, removed) "
                              "VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)");
    bind_id(q, which.id);
    bind_id(q, row);
    bind_blob(q, privacy_seal(a, &k, "staff", "name", row, name));
    bind_text(q, str_head(str_from(other.text), PSEUDONYM_LENGTH));
    bind_text(q, roles_text(a, roles, ' '));
    bind_time(q, invited);
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    TRY(session_end_others(tx, which.id, (id){{0}}));
    return tell_member(tx, p, which, "staff-joined", "staff-joined", roles);
}

enum err staff_set_roles(struct tx *tx, struct portal *p, account_id which, unsigned roles)
{
    struct query *q = SQL(tx, "UPDATE staff SET roles = $2 WHERE account = $1 AND removed IS NULL");
    bind_id(q, which.id);
    bind_text(q, roles_text(tx_arena(tx), roles, ' '));
    TRY(query_run(q));
    if (query_changes(q) == 0)
        return ERR_NOT_FOUND;
    return tell_member(tx, p, which, "staff-roles", "staff-roles", roles);
}

enum err staff_remove(struct tx *tx, struct portal *p, account_id which)
{
    struct query *q = SQL(tx, "UPDATE staff SET removed = $2 WHERE account = $1 AND removed IS NULL");
    bind_id(q, which.id);
    bind_time(q, clock_now(p->privacy.clock));
    TRY(query_run(q));
    if (query_changes(q) == 0)
        return ERR_NOT_FOUND;
    TRY(session_end_others(tx, which.id, (id){{0}}));
    return tell_member(tx, p, which, "staff-removed", "staff-removed", 0);
}
