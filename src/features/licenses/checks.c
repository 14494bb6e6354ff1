/* What is promised of licenses, against the facts. */
#include "features/licenses/model.h"

static void say(struct check *c, bool kept, const char *evidence)
{
    c->verdict = kept ? VERDICT_KEPT : VERDICT_BROKEN;
    c->evidence = evidence;
}

static enum err count_two(struct query *q, int64_t *one, int64_t *two)
{
    *one = *two = 0;
    if (query_row(q)) {
        *one = row_int(q, 0);
        *two = row_int(q, 1);
    }
    return query_end(q);
}

/* Every license that was made of a code is in the account that the code belongs to, and in no second one. */
static enum err check_codes(struct check *c)
{
    int64_t licenses, owned, codes, same;
    TRY(count_two(SQL(c->tx, "SELECT count(*), count(o.hash) FROM license l LEFT JOIN code_owner o ON o.hash = l.hash "
                             "AND o.account = l.account AND o.license = l.id WHERE l.hash IS NOT NULL"),
                  &licenses, &owned));
    TRY(count_two(SQL(c->tx, "SELECT count(hash), count(DISTINCT hash) FROM license WHERE hash IS NOT NULL"), &codes, &same));
    bool kept = licenses == owned && codes == same;
    json_put_int(c->values, "count", licenses);
    json_put_int(c->values, "wrong", licenses - owned + codes - same);
    say(c, kept, kept ? MSG("evidence.codes") : MSG("evidence.codes-broken"));
    return OK;
}

/* "30, 7, 1": how many days before. Published with the promise. */
static void put_steps(struct check *c)
{
    const struct catalogue *catalogue = catalogue_of(c->app);
    struct buf b = buf_new(c->arena, 200);
    for (size_t i = 0; i < catalogue->n_reminders; i++)
        buf_fmt(&b, "%s%lld", i ? ", " : "", (long long)(catalogue->reminders[i].exact / MOMENT_DAY));
    json_put_str(c->values, "steps", buf_str(&b));
}

/* Every reminder that was sent names the consent that it rests on; none was sent twice. */
static enum err check_reminders(struct check *c)
{
    int64_t sent, with, rows, mails;
    struct query *q = SQL(c->tx, "SELECT count(*), count(k.seq) FROM mail m LEFT JOIN consent k ON "
                                 "k.subject = m.subject AND k.seq = m.consent AND k.purpose = m.purpose AND "
                                 "k.granted = 1 AND k.made <= m.sent WHERE m.purpose = $1 AND m.state = 'sent'");
    bind_text(q, STR(PURPOSE_REMINDERS));
    TRY(count_two(q, &sent, &with));
    /* Mails are kept for two weeks, the note of a reminder for a year. */
    q = SQL(c->tx, "SELECT (SELECT count(*) FROM license_reminder), (SELECT count(*) FROM mail WHERE purpose = $1)");
    bind_text(q, STR(PURPOSE_REMINDERS));
    TRY(count_two(q, &rows, &mails));
    bool kept = sent == with && mails <= rows;
    put_steps(c);
    json_put_int(c->values, "count", rows);
    json_put_int(c->values, "wrong", sent - with + MAX_OF(mails - rows, (int64_t)0));
    say(c, kept, kept ? MSG("evidence.reminders") : MSG("evidence.reminders-broken"));
    return OK;
}

/* Every order has the mandate under which it was made. */
static enum err check_renewals(struct check *c)
{
    int64_t orders, with;
    TRY(count_two(SQL(c->tx, "SELECT count(*), count(m.id) FROM renewal_order o LEFT JOIN renewal_mandate m ON "
                             "m.account = o.account AND m.id = o.mandate AND m.license = o.license AND m.made <= o.made"),
                  &orders, &with));
    json_put_int(c->values, "count", orders);
    json_put_int(c->values, "wrong", orders - with);
    say(c, orders == with, orders == with ? MSG("evidence.renewals") : MSG("evidence.renewals-broken"));
    return OK;
}

const struct named_check license_checks[] = {
    {"check_codes", check_codes},
    {"check_reminders", check_reminders},
    {"check_renewals", check_renewals},
};
const size_t n_license_checks = COUNT(license_checks);
