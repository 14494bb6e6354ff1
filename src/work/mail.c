#include "work/mail.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <gmime/gmime.h>

#include "base/file.h"
#include "privacy/consent.h"
#include "privacy/rights.h"
#include "privacy/verify.h"
#include "work/mail_build.h"
#include "work/smtp.h"

enum { CONFIG_BYTES = 16 * 1024, BODY_BYTES = 256 * 1024, TIMEOUT_MS = 30000, PARAGRAPHS = 4 };

struct mailer {
    struct arena *arena;
    struct mail_config config;
    const char *dir; /* file:DIR; NULL: SMTP */
    struct smtp_target smtp;
};

/* ---- where it goes ---- */

static bool is_loopback(str host)
{
    if (str_is(host, "localhost") || str_is(host, "[::1]"))
        return true;
    for (size_t i = 0; i < host.n; i++) /* "127.0.0.1.example.com" is somebody's */
        if (host.p[i] != '.' && (host.p[i] < '0' || host.p[i] > '9'))
            return false;
    return str_starts(host, STR("127."));
}

static enum err read_target(struct mailer *m, struct fault *f)
{
    struct arena *a = m->arena;
    str url = m->config.target, rest, user, host, port;
    if (str_starts(url, STR("file:")) && url.n > 5) {
        m->dir = str_cstr(a, str_skip(url, 5));
        return dir_make(m->dir, 0700, f);
    }
    bool tls = str_starts(url, STR("smtps://"));
    if (!tls && !str_starts(url, STR("smtp://")))
        return FAIL(f, ERR_INPUT, "mail goes to smtp://…, smtps://… or file:DIR");
    rest = str_skip(url, tls ? 8 : 7);
    if (str_cut_last(rest, '@', &user, &rest)) {
        str name = user, password = {NULL, 0};
        str_cut(user, ':', &name, &password);
        m->smtp.user = str_cstr(a, name);
        m->smtp.password = str_cstr(a, password);
    }
    if (!str_cut_last(rest, ':', &host, &port) || str_ends(port, STR("]")))
        host = rest;
    if (host.n == 0)
        return FAIL(f, ERR_INPUT, "the mail server has no name");
    m->smtp.url = str_cstr(a, str_fmt(a, "%s%.*s", tls ? "smtps://" : "smtp://", STR_FMT(rest)));
    m->smtp.need_tls = !is_loopback(host);
    m->smtp.ca_file = m->config.ca_file;
    m->smtp.timeout_ms = m->config.timeout_ms ? m->config.timeout_ms : TIMEOUT_MS;
    return OK;
}

enum err mailer_open(struct mailer **out, const struct mail_config *config, struct fault *f)
{
    struct arena *a = arena_new(CONFIG_BYTES);
    struct mailer *m = ARENA_NEW(a, struct mailer);
    m->arena = a;
    m->config = *config;
    m->config.target = str_dup(a, config->target);
    m->config.from = str_dup(a, config->from);
    m->config.from_name = str_dup(a, config->from_name);
    g_mime_init();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    enum err e = read_target(m, f);
    if (e != OK) {
        arena_free(&a);
        return e;
    }
    *out = m;
    return OK;
}

void mailer_close(struct mailer **m)
{
    if (*m == NULL)
        return;
    struct arena *a = (*m)->arena;
    *m = NULL;
    arena_free(&a);
}

/* ---- writing ---- */

static bool has_text(const struct catalog *c, str key)
{
    return catalog_key(c, key) >= 0;
}

static str text_of(const struct mailer *m, struct arena *a, const struct mail *mail,
                   const char *part)
{
    const struct catalog *c = m->config.privacy->catalog;
    str key = str_fmt(a, "mail.%s.%s", mail->kind, part);
    return has_text(c, key) ? catalog_text(c, mail->locale, a, key.p, mail->values)
                            : (str){NULL, 0};
}

static void put_or_null(json_t *j, const char *key, str s)
{
    json_put(j, key, s.n ? json_stringn(s.p, s.n) : json_null());
}

static json_t *view_of(const struct mailer *m, struct arena *a, const struct mail *mail)
{
    json_t *view = json_object(), *list = json_put_array(view, "paragraphs");
    json_put_text(view, "language", mail->locale->code);
    json_put_str(view, "product", m->config.from_name);
    json_put_str(view, "subject", text_of(m, a, mail, "subject"));
    for (int i = 1; i <= PARAGRAPHS; i++) {
        str text = text_of(m, a, mail, str_fmt(a, "p%d", i).p);
        if (text.n > 0)
            json_add_str(list, text);
    }
    json_put_str(view, "why", text_of(m, a, mail, "why"));
    if (mail->action_url.n > 0) {
        json_t *action = json_put_object(view, "action");
        json_put_str(action, "label", text_of(m, a, mail, "action"));
        json_put_str(action, "url", mail->action_url);
    } else {
        json_put(view, "action", json_null());
    }
    put_or_null(view, "unsubscribe", mail->unsubscribe_url);
    return view;
}

static enum err write_mail(const struct mailer *m, struct arena *a, const struct mail *mail, id name,
                           str *out, struct fault *f)
{
    CLEANUP(json_done) json_t *view = view_of(m, a, mail);
    struct buf text = buf_new(a, BODY_BYTES), html = buf_new(a, BODY_BYTES);
    TRY(template_render(m->config.plain, STR("work/mail"), view, mail->locale, &text, f));
    TRY(template_render(m->config.html, STR("work/mail"), view, mail->locale, &html, f));
    struct mail_parts parts = {
        .id = id_str(&name),
        .from = m->config.from,
        .from_name = m->config.from_name,
        .to = mail->to,
        .subject = json_get_str(view, "subject"),
        .text = buf_str(&text),
        .html = buf_str(&html),
        .unsubscribe_url = mail->unsubscribe_url,
        .language = mail->locale->code,
        .date = clock_now(m->config.privacy->clock),
    };
    *out = mail_build(a, &parts);
    return OK;
}

enum err mail_add(struct tx *tx, const struct mailer *m, const struct mail *mail)
{
    struct arena *a = tx_arena(tx);
    const struct privacy *p = m->config.privacy;
    const struct purpose *purpose = inventory_purpose(p->inventory, str_from(mail->purpose));
    if (purpose == NULL)
        return FAIL(tx_fault(tx), ERR_DENIED, "mail %s: purpose %s is not declared", mail->kind, mail->purpose);
    bool on_consent = purpose->marketing || purpose->basis == BASIS_CONSENT;
    if (on_consent != (mail->unsubscribe_url.n > 0))
        return FAIL(tx_fault(tx), ERR_DENIED, "mail %s: marketing, and what was consented to, has a way out, and only that",
                    mail->kind);
    id name = id_new();
    str content;
    TRY(write_mail(m, a, mail, name, &content, tx_fault(tx)));
    struct query *q =
        SQL(tx, "INSERT INTO mail (subject, id, kind, purpose, recipient, content, state, consent, "
                "made, sent, attempts) VALUES ($1, $2, $3, $4, $5, $6, 'queued', NULL, $7, NULL, 0)");
    bind_id(q, mail->subject);
    bind_id(q, name);
    bind_text(q, str_from(mail->kind));
    bind_text(q, purpose->name);
    bind_blob(q, privacy_seal(a, mail->key, "mail", "recipient", name, mail->to));
    bind_blob(q, privacy_seal(a, mail->key, "mail", "content", name, content));
    bind_time(q, clock_now(p->clock));
    TRY(query_run(q));
    str payload = str_dup(a, id_str(&name));
    return job_add(tx, p->clock, JOB_MAIL, mail->subject, payload,
                   str_fmt(a, "mail:%s", name.text), clock_now(p->clock));
}

/* ---- sending ---- */

struct sending {
    const struct mailer *m;
    id subject, mail;
    str state, purpose, to, content;
    str next; /* the state that it is to have */
    bool elsewhere; /* another worker has it */
    int64_t consent;
    struct arena *arena;
    struct fault *fault;
};

static enum err read_mail_row(struct tx *tx, struct sending *s, bool *found)
{
    struct arena *a = tx_arena(tx);
    CLEANUP(key_wipe) struct key k;
    struct query *q = SQL(tx, "SELECT state, purpose, recipient, content FROM mail "
                              "WHERE subject = $1 AND id = $2");
    bind_id(q, s->subject);
    bind_id(q, s->mail);
    *found = query_row(q) && !row_is_null(q, 3);
    str to = {NULL, 0}, content = {NULL, 0};
    if (*found) {
        s->state = row_text(q, 0);
        s->purpose = row_text(q, 1);
        to = row_blob(q, 2);
        content = row_blob(q, 3);
    }
    TRY(query_end(q));
    if (!*found)
        return OK;
    TRY(vault_subject_key(s->m->config.privacy->vault, s->subject, &k, a, tx_fault(tx)));
    TRY(privacy_unseal(a, &k, "mail", "recipient", s->mail, to, &s->to, tx_fault(tx)));
    return privacy_unseal(a, &k, "mail", "content", s->mail, content, &s->content, tx_fault(tx));
}

/* Marketing, and what rests on a consent, asks at the moment of use (CNS-04). */
static enum err may_send(struct tx *tx, struct sending *s, bool *yes)
{
    const struct privacy *p = s->m->config.privacy;
    const struct purpose *purpose = inventory_purpose(p->inventory, s->purpose);
    bool holds;
    enum may may = MAY_NOT_DECLARED;
    bool asks = purpose == NULL || purpose->marketing || purpose->basis == BASIS_CONSENT;
    *yes = !asks;
    if (!asks || purpose == NULL)
        return OK;
    TRY(privacy_may(tx, p, s->subject, (str){NULL, 0}, str_cstr(tx_arena(tx), s->purpose), &may));
    if (may == MAY && purpose->basis == BASIS_CONSENT)
        TRY(consent_holds(tx, p, s->subject, purpose, &holds, &s->consent));
    *yes = may == MAY;
    return OK;
}

/* The note before the last step: only one worker can make it, and only once. */
static enum err hand_over(struct tx *tx, void *arg)
{
    struct sending *s = arg;
    struct query *q = SQL(tx, "UPDATE mail SET state = 'handing-over', attempts = attempts + 1 "
                              "WHERE subject = $1 AND id = $2 AND state = 'queued'");
    bind_id(q, s->subject);
    bind_id(q, s->mail);
    TRY(query_run(q));
    s->elsewhere = query_changes(q) == 0;
    return s->elsewhere ? ERR_CONFLICT : OK;
}

static enum err set_state(struct tx *tx, void *arg)
{
    struct sending *s = arg;
    bool queued = str_is(s->next, "queued"); /* again: what it says is still needed */
    struct query *q = queued ? SQL(tx, "UPDATE mail SET state = $3, sent = $4, consent = $5 "
                                       "WHERE subject = $1 AND id = $2")
                             : SQL(tx, "UPDATE mail SET state = $3, sent = $4, consent = $5, "
                                       "content = NULL WHERE subject = $1 AND id = $2");
    bind_id(q, s->subject);
    bind_id(q, s->mail);
    bind_text(q, s->next);
    if (str_is(s->next, "sent"))
        bind_time(q, clock_now(s->m->config.privacy->clock));
    else
        bind_null(q);
    if (s->consent)
        bind_int(q, s->consent);
    else
        bind_null(q);
    return query_run(q);
}

static enum err move_to(struct sending *s, const char *state)
{
    s->next = str_from(state);
    return db_transact(s->m->config.privacy->db, s->arena, s->fault, set_state, s);
}

static enum err before_dot(void *arg)
{
    struct sending *s = arg;
    return db_transact(s->m->config.privacy->db, s->arena, s->fault, hand_over, s);
}

static enum err into_folder(struct sending *s)
{
    const char *path = str_cstr(s->arena, str_fmt(s->arena, "%s/%s.eml", s->m->dir, s->mail.text));
    enum err e = file_create(path, s->content, 0600, s->fault);
    if (e == ERR_CONFLICT) /* one name for one mail: it was handed over before */
        fault_clear(s->fault);
    else
        TRY(e);
    return move_to(s, "sent");
}

static enum err to_server(struct sending *s)
{
    const struct log *log = s->m->config.privacy->log;
    long code;
    if (str_is(s->state, "handing-over")) {
        log_event(log, LOG_WARNING, "mail-uncertain", LOG_TEXT("mail", id_str(&s->mail)));
        return move_to(s, "uncertain");
    }
    enum delivery d = smtp_deliver(&s->m->smtp, str_cstr(s->arena, s->m->config.from),
                                   str_cstr(s->arena, s->to), s->content, before_dot, s, &code);
    if (s->elsewhere) /* our lease ran out: what becomes of it is theirs to say */
        return FAIL(s->fault, ERR_BUSY, "another worker has the mail");
    switch (d) {
    case DELIVERED:
        return move_to(s, "sent");
    case DELIVERY_REFUSED:
        log_event(log, LOG_WARNING, "mail-refused", LOG_TEXT("mail", id_str(&s->mail)),
                  LOG_INT("code", code));
        return move_to(s, "refused");
    case DELIVERY_UNCERTAIN:
        log_event(log, LOG_WARNING, "mail-uncertain", LOG_TEXT("mail", id_str(&s->mail)));
        return move_to(s, "uncertain");
    case DELIVERY_LATER:
        TRY(move_to(s, "queued"));
        log_event(log, LOG_INFO, "mail-later", LOG_TEXT("mail", id_str(&s->mail)),
                  LOG_INT("code", code));
        return FAIL(s->fault, ERR_BUSY, "the mail server does not take it now (%ld)", code);
    }
    return ERR_IO;
}

enum err mail_send(const struct mailer *m, id subject, id mail, struct arena *a, struct fault *f)
{
    struct sending s = {.m = m, .subject = subject, .mail = mail, .arena = a, .fault = f};
    bool found, may = false;
    struct tx *tx = tx_begin(m->config.privacy->db, TX_READ, a, f);
    enum err e = read_mail_row(tx, &s, &found);
    if (e == OK && found)
        e = may_send(tx, &s, &may);
    tx_end(&tx);
    if (e == ERR_NOT_FOUND) { /* erased meanwhile: there is nobody to write to */
        fault_clear(f);
        return OK;
    }
    TRY(e);
    if (!found)
        return OK; /* sent already, or erased */
    if (!may)
        return move_to(&s, "withheld");
    return m->dir ? into_folder(&s) : to_server(&s);
}

enum err mail_waiting(struct tx *tx, id subject, int64_t *count)
{
    struct query *q = SQL(tx, "SELECT count(*) FROM mail WHERE subject = $1 AND "
                              "state IN ('queued', 'handing-over')");
    bind_id(q, subject);
    *count = query_row(q) ? row_int(q, 0) : 0;
    return query_end(q);
}

/* ---- the proof ---- */

enum err check_marketing_mail(struct check *c)
{
    const struct inventory *v = c->p->inventory;
    int64_t sent = 0, without = 0;
    for (size_t i = 0; i < v->n_purposes; i++) {
        if (!v->purposes[i].marketing)
            continue;
        struct query *q = SQL(
            c->tx, "SELECT count(*), count(k.seq) FROM mail m LEFT JOIN consent k ON "
                   "k.subject = m.subject AND k.seq = m.consent AND k.purpose = m.purpose AND "
                   "k.granted = 1 AND k.made <= m.sent WHERE m.purpose = $1 AND m.state = 'sent'");
        bind_text(q, v->purposes[i].name);
        if (query_row(q)) {
            sent += row_int(q, 0);
            without += row_int(q, 0) - row_int(q, 1);
        }
        TRY(query_end(q));
    }
    json_put_int(c->values, "count", sent);
    json_put_int(c->values, "without", without);
    c->verdict = without == 0 ? VERDICT_KEPT : VERDICT_BROKEN;
    c->evidence = without ? MSG("evidence.marketing-broken")
                  : sent  ? MSG("evidence.marketing")
                          : MSG("evidence.marketing-none");
    return OK;
}
