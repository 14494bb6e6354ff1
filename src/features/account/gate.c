#include "features/account/gate.h"

#include <string.h>

#include "base/codec.h"
#include "features/captcha/captcha.h"
#include "web/quota.h"

enum { MAC_BYTES = 20, TIME_CHARS = 8, DEVICE_CHARS = TIME_CHARS + 32, SHARED = 4 };

#define KNOWN_FOR (90 * MOMENT_DAY) /* as records.yaml says of the cookie */

/* By kind of gate: of the address that is typed, of the visitor's range, of the installation. */
static const struct quota of_address[] = {
    [GATE_SIGN_IN] = {"sign-in-address", 10, 5 * MOMENT_MINUTE},
    [GATE_SIGN_UP] = {"sign-up-address", 3, MOMENT_HOUR},
    [GATE_RECOVER] = {"recover-address", 3, MOMENT_HOUR},
};
static const struct quota of_range[] = {
    [GATE_SIGN_IN] = {"sign-in-range", 30, MOMENT_MINUTE},
    [GATE_SIGN_UP] = {"sign-up-range", 10, 5 * MOMENT_MINUTE},
    [GATE_RECOVER] = {"recover-range", 10, 5 * MOMENT_MINUTE},
};
static const struct quota of_all[] = {
    [GATE_SIGN_IN] = {"sign-in-all", 2000, MOMENT_SECOND / 4},
    [GATE_SIGN_UP] = {"sign-up-all", 1000, MOMENT_SECOND},
    [GATE_RECOVER] = {"recover-all", 1000, MOMENT_SECOND},
};
static const struct quota of_change = {"address-change", 5, MOMENT_HOUR};
static const struct quota of_mailbox = {"address-change-to", 3, MOMENT_HOUR};
static const struct quota of_session = {"password-session", 10, 5 * MOMENT_MINUTE};
static const struct quota of_device = {"sign-in-device", 20, 5 * MOMENT_MINUTE};

/* ---- known devices ---- */

/* The cookie: for each of the last few accounts that signed in here, when (minutes since 1970, in hex), and a
 * keyed hash of that and the address. Nothing of it is stored here; it names nobody, and each is good for one
 * address only. */
static str device_text(struct arena *a, str minutes, str same)
{
    return str_fmt(a, "%.*s|%.*s", STR_FMT(minutes), STR_FMT(same));
}

static bool read_minutes(str s, moment *out)
{
    moment v = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        v = v * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out = v * MOMENT_MINUTE;
    return s.n == TIME_CHARS;
}

/* Could we have written it? The cookie is the visitor's, and what is kept of it goes into another. */
static bool is_device(str part)
{
    moment made;
    bool letters = part.n == DEVICE_CHARS && read_minutes(str_head(part, TIME_CHARS), &made);
    for (size_t i = TIME_CHARS; letters && i < part.n; i++)
        letters = (part.p[i] >= 'a' && part.p[i] <= 'z') || (part.p[i] >= '0' && part.p[i] <= '9');
    return letters;
}

/* Is that part of the cookie this address's, and not too old? */
static enum err is_device_of(struct request *req, str part, str same, bool *yes)
{
    const struct privacy *p = request_privacy(req);
    str minutes = str_head(part, TIME_CHARS);
    moment made, now = clock_now(p->clock);
    struct vault_hashes h;
    *yes = false;
    if (!read_minutes(minutes, &made) || made > now || now - made > KNOWN_FOR)
        return OK;
    TRY(vault_hash(p->vault, "known-device", device_text(req->arena, minutes, same), &h, req->arena, req->fault));
    for (int i = 0; i < h.n; i++)
        *yes |= secret_eq(str_skip(part, TIME_CHARS), base32_encode(req->arena, h.bytes[i], MAC_BYTES));
    return OK;
}

/* The part that is this address's, or empty; the others, if they are asked for. */
static enum err find_device(struct request *req, str same, str *device, struct buf *others)
{
    str cookie = request_cookie(req, "known");
    for (int i = 0; i < SHARED && cookie.n >= DEVICE_CHARS; i++, cookie = str_skip(cookie, DEVICE_CHARS)) {
        bool own;
        str part = str_head(cookie, DEVICE_CHARS);
        if (!is_device(part))
            continue;
        TRY(is_device_of(req, part, same, &own));
        if (own)
            *device = part;
        else if (others)
            buf_put(others, part);
    }
    return OK;
}

enum err gate_knows(struct request *req, str same, bool *known)
{
    str device = {NULL, 0};
    TRY(find_device(req, same, &device, NULL));
    *known = device.n > 0;
    return OK;
}

enum err gate_remember(struct request *req, str same)
{
    const struct privacy *p = request_privacy(req);
    struct vault_hashes h;
    str old = {NULL, 0}, minutes = str_fmt(req->arena, "%08llx", (unsigned long long)(clock_now(p->clock) / MOMENT_MINUTE));
    struct buf cookie = buf_new(req->arena, (SHARED + 1) * DEVICE_CHARS);
    TRY(vault_hash(p->vault, "known-device", device_text(req->arena, minutes, same), &h, req->arena, req->fault));
    buf_put(&cookie, minutes);
    buf_put(&cookie, base32_encode(req->arena, h.bytes[0], MAC_BYTES));
    TRY(find_device(req, same, &old, &cookie));
    str whole = buf_str(&cookie);
    request_set_cookie(req, "known", str_head(whole, MIN_OF(whole.n, (size_t)SHARED * DEVICE_CHARS)));
    return OK;
}

/* ---- asking ---- */

static enum err must_ask(struct request *req, struct gate *g)
{
    const struct privacy *p = request_privacy(req);
    /* A transaction of its own: none is held while a password is hashed. */
    CLEANUP(tx_end) struct tx *tx = tx_begin(p->db, TX_READ, req->arena, req->fault);
    bool address, range, all, device = false;
    str visitor = quota_range(req->arena, req->peer);
    TRY(find_device(req, g->same, &g->device, NULL));
    if (g->device.n > 0)
        TRY(quota_has(tx, p, &of_device, g->device, &device));
    TRY(quota_has(tx, p, &of_address[g->kind], g->same, &address));
    TRY(quota_has(tx, p, &of_range[g->kind], visitor, &range));
    TRY(quota_has(tx, p, &of_all[g->kind], STR(""), &all));
    g->asks = !device && !(address && range && all) && !PORTAL(req)->settings->limits_off;
    return OK;
}

enum err gate_of(struct request *req, enum gate_kind kind, str address, struct gate *out)
{
    struct email e;
    *out = (struct gate){.kind = kind, .same = address};
    if (email_parse(req->arena, address, &e) == OK)
        out->same = e.same;
    return must_ask(req, out);
}

enum err gate_enter(struct request *req, enum gate_kind kind, str address, struct gate *out)
{
    enum captcha captcha;
    TRY(gate_of(req, kind, address, out));
    if (!out->asks)
        return OK;
    TRY(captcha_check(req, &captcha));
    out->passed = captcha == CAPTCHA_PASSED;
    if (out->passed)
        return OK;
    form_fail(&req->form, "captcha_answer",
              captcha == CAPTCHA_WRONG ? MSG("captcha.wrong") : MSG("captcha.needed"));
    return request_again(req, 429);
}

enum err gate_count(struct request *req, const struct gate *g)
{
    const struct privacy *p = request_privacy(req);
    bool had;
    str visitor = quota_range(req->arena, req->peer);
    bool *counted = request_memo(req, "gate", sizeof *counted);
    if (PORTAL(req)->settings->limits_off || *counted)
        return OK;
    *counted = true;
    if (g->device.n > 0)
        TRY(quota_take(p, &of_device, g->device, &had, req->arena, req->fault));
    TRY(quota_take(p, &of_address[g->kind], g->same, &had, req->arena, req->fault));
    TRY(quota_take(p, &of_range[g->kind], visitor, &had, req->arena, req->fault));
    /* Everybody's row is in everybody's way: one that is not counted there does no harm. */
    enum err e = quota_take(p, &of_all[g->kind], STR(""), &had, req->arena, req->fault);
    if (e == ERR_BUSY) {
        fault_clear(req->fault);
        return OK;
    }
    return e;
}

enum err gate_password(struct request *req, account_id which)
{
    struct portal *p = PORTAL(req);
    str whom = str_from(which.id.text);
    bool limited = !p->settings->limits_off, has = true, right;
    if (limited) {
        CLEANUP(tx_end) struct tx *tx = tx_begin(p->privacy.db, TX_READ, req->arena, req->fault);
        TRY(quota_has(tx, &p->privacy, &of_session, whom, &has));
    }
    if (!has) {
        form_fail(&req->form, "password", MSG("password.too-many"));
        return request_again(req, 429);
    }
    TRY(account_check_password(p, which, form_secret(&req->form, "password"), req->arena, req->fault, &right));
    if (right)
        return OK;
    if (limited)
        TRY(quota_take(&p->privacy, &of_session, whom, &has, req->arena, req->fault));
    form_fail(&req->form, "password", MSG("password.wrong"));
    return request_again(req, 403);
}

enum err gate_address(struct request *req, account_id which, str same)
{
    const struct privacy *p = request_privacy(req);
    bool own, theirs, *counted = request_memo(req, "address", sizeof *counted);
    if (PORTAL(req)->settings->limits_off || *counted)
        return OK;
    *counted = true;
    TRY(quota_take(p, &of_change, str_from(which.id.text), &own, req->arena, req->fault));
    TRY(quota_take(p, &of_mailbox, same, &theirs, req->arena, req->fault));
    if (own && theirs)
        return OK;
    form_fail(&req->form, "email", MSG("settings.too-many-addresses"));
    return request_again(req, 429);
}

enum err gate_show(struct request *req, enum gate_kind kind, str address)
{
    struct gate g = {.asks = false};
    if (req->method == METHOD_POST)
        TRY(gate_of(req, kind, address, &g));
    return captcha_put(req, g.asks);
}
