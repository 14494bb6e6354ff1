/* What one has bought, the card, ordering; and where the provider's events come in. */
#include "features/purchases/model.h"

#include <string.h>

#include "features/factors/factors.h"
#include "privacy/enrolment.h"

#define SHOWS(...) (const struct form *const[]){__VA_ARGS__, NULL}
#define HERE       "/account/purchases"

enum { PRICE_MAX = 40, PRODUCT_MAX = 60, OWN_SHOWN = 20, HEADER_MAX = 2048 };
#define OPEN_SHOWN (7 * MOMENT_DAY) /* an order that came to nothing is shown for so long */

static const struct form_field order_fields[] = {
    {"once", FIELD_HIDDEN, .required = true, .max = ID_LENGTH},
    {"price", FIELD_TEXT, .required = true, .max = PRICE_MAX, .label = MSG("purchases.price")},
    {"sure", FIELD_CHECK, .required = true, .label = MSG("purchases.sure")},
};
static const struct form order_form = {"order", order_fields, COUNT(order_fields)};

static account_id me(const struct request *req)
{
    return (account_id){req->session.account};
}

static struct store_provider *store_of(struct request *req)
{
    return purchases_of(PORTAL(req))->provider;
}

/* ---- words ---- */

/* "499.00 SEK": as the catalogue has prices. ISO 4217's currencies without a second unit. */
static str money(struct arena *a, int64_t amount, str currency)
{
    static const char *const whole[] = {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG",
                                        "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"};
    for (size_t i = 0; i < COUNT(whole); i++)
        if (str_is(currency, whole[i]))
            return str_fmt(a, "%lld %.*s", (long long)amount, STR_FMT(currency));
    return str_fmt(a, "%lld.%02d %.*s", (long long)(amount / 100), (int)(amount % 100), STR_FMT(currency));
}

/* "2028-11" as cards have it: 11/28. */
static str expiry_text(struct arena *a, str expiry)
{
    return expiry.n == 7 ? str_fmt(a, "%.2s/%.2s", expiry.p + 5, expiry.p + 2) : expiry;
}

static void put_card(struct request *req, const struct store_link *l)
{
    json_t *j = json_put_object(req->view, "card");
    json_put_bool(j, "linked", str_is(l->state, LINK_CARD));
    json_put_bool(j, "open", str_is(l->state, LINK_OPEN));
    json_put_bool(j, "none", str_is(l->state, LINK_NONE));
    json_put_str(j, "ending", l->ending);
    json_put_str(j, "expiry", expiry_text(req->arena, l->expiry));
    json_put_moment(j, "since", req->arena, l->linked);
}

/* ---- what one has bought ---- */

static const char *payment_word(const struct store_payment *p, bool refunded)
{
    return refunded ? "refunded" : p->state == PAYMENT_PAID ? "paid" : p->state == PAYMENT_PENDING ? "pending" : "failed";
}

static const struct order *own_order(const struct order *list, size_t n, str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(id_str(&list[i].id), name))
            return &list[i];
    return NULL;
}

static void put_bought(struct request *req, json_t *j, str product, int64_t amount, str currency, moment made, const char *state)
{
    json_put_str(j, "title", product.n ? product_title(PORTAL(req), product, &req->locale) : STR("–"));
    json_put_str(j, "price", money(req->arena, amount, currency));
    json_put_moment(j, "made", req->arena, made);
    json_put_text(j, "state", state);
    json_put_bool(j, "good", strcmp(state, "paid") == 0);
    json_put_str(j, "state_key", str_fmt(req->arena, "purchase-is.%s", state));
}

/* The provider's history. What it does not say, that one was refunded, we know of our own orders. */
static void put_history(struct request *req, const struct store_link *l, const struct order *own, size_t n_own)
{
    struct store_provider *s = store_of(req);
    struct store_payment *list = NULL;
    struct fault f = {0};
    size_t n = 0;
    bool asked = s != NULL && l->there, away = false;
    json_t *out = json_put_array(req->view, "history");
    request_rest(req); /* others need not wait for the provider */
    if (asked && s->history(s, req->arena, req->session.account, &list, &n, &f) != STORE_DONE) {
        away = true;
        n = 0;
        log_event(request_privacy(req)->log, LOG_WARNING, "store-away", LOG_TEXT("why", str_from(f.text)));
    }
    for (size_t i = 0; i < n; i++) {
        const struct order *mine = own_order(own, n_own, list[i].order);
        bool refunded = mine && str_is(mine->state, ORDER_REFUNDED);
        put_bought(req, json_add_object(out), list[i].product, list[i].amount, list[i].currency, list[i].made,
                   payment_word(&list[i], refunded));
    }
    json_put_bool(req->view, "has_history", n > 0);
    json_put_bool(req->view, "away", away);
}

/* Orders that are on their way, or that came to nothing lately; what became something is in the history. */
static void put_open(struct request *req, const struct order *own, size_t n_own)
{
    json_t *out = json_put_array(req->view, "open");
    moment since = clock_now(request_privacy(req)->clock) - OPEN_SHOWN;
    bool waiting = false;
    for (size_t i = 0; i < n_own; i++) {
        const struct order *o = &own[i];
        bool over = str_is(o->state, ORDER_PAID) || str_is(o->state, ORDER_REFUNDED);
        bool on_its_way = str_is(o->state, ORDER_QUEUED) || str_is(o->state, ORDER_SENT);
        if (over || (!on_its_way && o->made < since))
            continue;
        json_t *j = json_add_object(out);
        put_bought(req, j, o->product, o->amount, o->currency, o->made, on_its_way ? "on-its-way" : str_cstr(req->arena, o->state));
        json_put_bool(j, "needs_bank", str_is(o->reason, "authentication_required"));
        json_put_bool(j, "declined", str_is(o->state, ORDER_DECLINED));
        json_put_bool(j, "uncertain", str_is(o->state, ORDER_UNCERTAIN));
        json_put_bool(j, "renewal", o->mandate.n > 0);
        waiting |= on_its_way;
    }
    json_put_bool(req->view, "has_open", json_array_size(out) > 0);
    json_put_bool(req->view, "waiting", waiting);
}

static void put_products(struct request *req, bool may_order)
{
    size_t n;
    const struct product *list = product_list(PORTAL(req), &n);
    json_t *out = json_put_array(req->view, "products");
    for (size_t i = 0; i < n; i++) {
        if (list[i].price == 0 || list[i].trial)
            continue;
        json_t *j = json_add_object(out);
        json_put_str(j, "title", product_name(&list[i], &req->locale));
        json_put_str(j, "price", list[i].price_text);
        json_put_str(j, "term", term_format(req->arena, list[i].term));
        json_put_int(j, "count", list[i].devices);
        json_put_str(j, "url", str_fmt(req->arena, HERE "/order/%.*s", STR_FMT(list[i].key)));
        json_put_bool(j, "may_order", may_order);
    }
    json_put_bool(req->view, "has_products", json_array_size(out) > 0);
}

static enum err show(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    const struct privacy *p = request_privacy(req);
    struct store_link link;
    struct order *own;
    size_t n_own;
    bool enrolled;
    TRY(request_key(req, &k));
    struct tx *tx = request_read(req);
    TRY(enrolment_active(tx, p, req->session.account, STR(STORE_SERVICE), &enrolled));
    TRY(link_get(tx, p, me(req), &k, &link));
    TRY(order_list(tx, me(req), OWN_SHOWN, &own, &n_own));
    json_put_bool(req->view, "connected", store_of(req) != NULL);
    json_put_bool(req->view, "enrolled", enrolled);
    json_put_str(req->view, "store", str_from(store_of(req) ? store_of(req)->name : ""));
    put_card(req, &link);
    put_open(req, own, n_own);
    put_products(req, str_is(link.state, LINK_CARD));
    put_history(req, &link, own, n_own);
    return request_page(req, "purchases/list");
}

/* ---- the card ---- */

/* Makes the customer at the provider, once. */
static enum err customer_of(struct request *req, const struct key *k, str *customer, bool *away)
{
    struct store_provider *s = store_of(req);
    struct store_link link;
    TRY(link_get(request_read(req), request_privacy(req), me(req), k, &link));
    *customer = link.customer;
    if (link.customer.n > 0)
        return OK;
    request_rest(req);
    *away = s->open_customer(s, req->arena, req->session.account, req->id, customer, req->fault) != STORE_DONE;
    if (*away)
        return OK;
    enum err e = link_open(request_write(req), request_privacy(req), me(req), k, *customer);
    if (e != ERR_CONFLICT)
        return e;
    TRY(link_get(request_write(req), request_privacy(req), me(req), k, &link)); /* another browser was faster */
    *customer = link.customer;
    return OK;
}

static enum err say_away(struct request *req)
{
    log_event(request_privacy(req)->log, LOG_WARNING, "store-away", LOG_TEXT("why", str_from(req->fault->text)));
    fault_clear(req->fault);
    return request_see(req, 503, STR(HERE "?done=store-away"));
}

/* To the provider's page. A link and no redirect: the policy of our pages lets no form lead elsewhere. */
static enum err link_a_card(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    struct store_provider *s = store_of(req);
    str customer = {NULL, 0}, url = {NULL, 0};
    bool enrolled, proved, away = false;
    TRY(factors_proved(req, &proved));
    if (!proved)
        return factors_ask_proof(req);
    TRY(request_key(req, &k));
    TRY(enrolment_active(request_read(req), request_privacy(req), req->session.account, STR(STORE_SERVICE), &enrolled));
    if (s == NULL || !enrolled)
        return request_see(req, 409, STR(HERE));
    TRY(customer_of(req, &k, &customer, &away));
    if (!away)
        away = s->card_page(s, req->arena, req->session.account, customer, req->id, req->locale.code,
                            request_url(req, req->arena, STR(HERE "?done=card-coming")),
                            request_url(req, req->arena, STR(HERE "?done=card-not-linked")), &url, req->fault) != STORE_DONE;
    if (away)
        return say_away(req);
    TRY(account_note(req, request_write(req), me(req), &k, "card-asked"));
    json_put_str(req->view, "url", url);
    json_put_text(req->view, "store", s->name);
    return request_page(req, "purchases/card");
}

static enum err unlink_the_card(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    bool was;
    TRY(request_key(req, &k));
    struct tx *tx = request_write(req);
    TRY(link_undo(tx, PORTAL(req), me(req), &k, true, &was));
    if (was)
        TRY(account_note(req, tx, me(req), &k, "card-unlinked"));
    return request_see(req, 200, STR(HERE "?done=card-unlinked"));
}

/* ---- ordering ---- */

static const struct product *asked_product(struct request *req)
{
    const struct product *p = product_named(PORTAL(req), req->segment[0]);
    return p && p->price > 0 && !p->trial ? p : NULL;
}

static enum err show_order(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    const struct product *product = asked_product(req);
    struct store_link link;
    struct locale *l = &req->locale;
    bool proved;
    id once = id_new();
    if (product == NULL || store_of(req) == NULL)
        return ERR_NOT_FOUND;
    TRY(factors_proved(req, &proved));
    if (!proved)
        return factors_ask_proof(req);
    TRY(request_key(req, &k));
    TRY(link_get(request_read(req), request_privacy(req), me(req), &k, &link));
    put_card(req, &link);
    json_put_str(req->view, "title", product_name(product, l));
    json_put_str(req->view, "price", product->price_text);
    json_put_str(req->view, "term", term_format(req->arena, product->term));
    json_put_int(req->view, "count", product->devices);
    json_put_str(req->view, "url", str_fmt(req->arena, HERE "/order/%.*s", STR_FMT(product->key)));
    json_put_text(req->view, "store", store_of(req)->name);
    form_put(request_form(req, "order"), "once", str_dup(req->arena, id_str(&once))); /* the page is made later */
    form_put(request_form(req, "order"), "price", product->price_text);
    return request_page(req, "purchases/order");
}

static enum err make_order(struct request *req)
{
    CLEANUP(key_wipe) struct key k;
    const struct product *product = asked_product(req);
    struct order_start s = {.account = me(req), .key = &k, .session = req->session.id};
    enum order_asked asked;
    bool proved;
    if (product == NULL || id_parse(form_value(&req->form, "once"), &s.once) != OK)
        return ERR_NOT_FOUND;
    TRY(factors_proved(req, &proved));
    if (!proved)
        return factors_ask_proof(req);
    TRY(request_key(req, &k));
    s.product = product->key;
    s.price = form_value(&req->form, "price");
    struct tx *tx = request_write(req);
    TRY(order_add(tx, PORTAL(req), &s, &asked));
    switch (asked) {
    case ORDER_TAKEN:
        TRY(account_note(req, tx, me(req), &k, "order-made"));
        return request_see(req, 202, STR(HERE "?done=order-made"));
    case ORDER_ALREADY:
        return request_see(req, 202, STR(HERE "?done=order-made"));
    case ORDER_WAITS:
        return request_see(req, 409, STR(HERE "?done=order-waits"));
    case ORDER_NO_CARD:
        return request_see(req, 409, STR(HERE "?done=order-no-card"));
    case ORDER_NOT_SOLD:
        return request_see(req, 409, STR(HERE "?done=order-not-sold"));
    case ORDER_MAY_NOT:
        return request_see(req, 403, STR(HERE "?done=order-may-not"));
    }
    return ERR_IO;
}

/* ---- what the provider tells ---- */

static enum err answer_event(struct request *req, int status, const char *outcome, struct fault *f)
{
    log_event(request_privacy(req)->log, status == 200 ? LOG_INFO : LOG_WARNING, "store-event", LOG_TEXT("outcome", str_from(outcome)),
              LOG_TEXT("why", str_from(f->text)));
    return request_bytes(req, status, "application/json", status == 200 ? STR("{\"received\":true}\n") : STR("{\"received\":false}\n"));
}

/* The signature over the bytes as they came is checked before anything in them is read. Events that mean nothing
 * to us are answered well, or the provider would go on sending them. */
static enum err take_event(struct request *req)
{
    struct store_provider *s = store_of(req);
    struct store_event e;
    struct fault f = {0};
    const char *outcome = "ignored";
    str signature = head_get(req->head, "Stripe-Signature");
    if (s == NULL)
        return ERR_NOT_FOUND;
    if (head_count(req->head, "Stripe-Signature") != 1 || signature.n > HEADER_MAX)
        return answer_event(req, 400, "refused", &f);
    enum err r = s->event(s, req->arena, req->body, signature, clock_now(request_privacy(req)->clock), &e, &f);
    if (r != OK)
        return answer_event(req, 400, r == ERR_DENIED ? "refused" : "unreadable", &f);
    if (e.kind != EVENT_OTHER)
        TRY(event_apply(request_write(req), PORTAL(req), &e, &outcome));
    return answer_event(req, 200, outcome, &f);
}

const struct route purchase_routes[] = {
    {METHOD_GET, HERE, show, GUARD_SIGNED_IN, RATE_PAGE, .shows = SHOWS(&form_button)},
    {METHOD_POST, HERE "/card", link_a_card, GUARD_RECENT, RATE_SIGN_IN, &form_button, .again = HERE},
    {METHOD_POST, HERE "/card/off", unlink_the_card, GUARD_SIGNED_IN, RATE_FORM, &form_button, .again = HERE},
    {METHOD_GET, HERE "/order/:product", show_order, GUARD_RECENT, RATE_PAGE, .shows = SHOWS(&order_form)},
    {METHOD_POST, HERE "/order/:product", make_order, GUARD_RECENT, RATE_FORM, &order_form, .again = HERE "/order/:product"},
    {METHOD_POST, "/webhooks/store", take_event, GUARD_PUBLIC, RATE_FORM, .raw = true, .body_max = STORE_EVENT_MAX},
    {0},
};
