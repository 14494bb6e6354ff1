/* Reading what was published. */
#include "privacy/policy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 32, NAME_BYTES = 64, LANGUAGE_BYTES = 8, LIST_MAX = 1000 };

/* ---- versions that are kept decoded ---- */

struct kept {
    char service[NAME_BYTES], language[LANGUAGE_BYTES];
    int64_t version;
    moment published;
    json_t *body; /* shared by threads, so never changed */
};

struct policies {
    pthread_mutex_t mutex;
    struct kept kept[KEPT]; /* a ring: the oldest makes room */
    int n, next;
};

struct policies *policies_new(void)
{
    struct policies *k = calloc(1, sizeof *k);
    if (k != NULL)
        pthread_mutex_init(&k->mutex, NULL);
    return k;
}

void policies_free(struct policies **policies)
{
    struct policies *k = *policies;
    *policies = NULL;
    if (k == NULL)
        return;
    for (int i = 0; i < k->n; i++)
        json_decref(k->kept[i].body);
    pthread_mutex_destroy(&k->mutex);
    free(k);
}

struct wanted {
    str service, language;
    int64_t version;
    moment published;
};

/* Its body, to be released; NULL where it is not kept. */
static json_t *find_kept(struct policies *k, const struct wanted *w)
{
    json_t *found = NULL;
    if (k == NULL)
        return NULL;
    pthread_mutex_lock(&k->mutex);
    for (int i = 0; i < k->n && found == NULL; i++) {
        const struct kept *x = &k->kept[i];
        if (x->version == w->version && x->published == w->published &&
            str_is(w->service, x->service) && str_is(w->language, x->language))
            found = json_incref(x->body);
    }
    pthread_mutex_unlock(&k->mutex);
    return found;
}

static void keep(struct policies *k, const struct wanted *w, json_t *body)
{
    if (k == NULL || w->service.n >= NAME_BYTES || w->language.n >= LANGUAGE_BYTES)
        return;
    pthread_mutex_lock(&k->mutex);
    struct kept *x = &k->kept[k->next];
    json_decref(x->body);
    *x = (struct kept){.version = w->version, .published = w->published, .body = json_incref(body)};
    memcpy(x->service, w->service.p, w->service.n);
    memcpy(x->language, w->language.p, w->language.n);
    k->next = (k->next + 1) % KEPT;
    k->n = MAX_OF(k->n, k->next ? k->next : KEPT);
    pthread_mutex_unlock(&k->mutex);
}

/* ---- reading ---- */

static enum err read_body(struct tx *tx, const struct privacy *p, const struct wanted *w,
                          json_t **out)
{
    *out = find_kept(p->policies, w);
    if (*out != NULL)
        return OK;
    struct query *q = SQL(tx, "SELECT body FROM policy_version WHERE policy = $1 AND version = $2 "
                              "AND language = $3");
    bind_text(q, w->service);
    bind_int(q, w->version);
    bind_text(q, w->language);
    str body = query_row(q) ? row_text(q, 0) : (str){NULL, 0};
    TRY(query_end(q));
    TRY(json_decode(body, out, tx_fault(tx)));
    keep(p->policies, w, *out);
    return OK;
}

enum err policy_get(struct tx *tx, const struct privacy *p, str service, int64_t version,
                    const struct locale *l, json_t **out)
{
    CLEANUP(json_done) json_t *body = NULL;
    struct wanted w = {.service = service, .language = str_from(l->code)};
    struct query *q = SQL(tx, "SELECT version, published FROM policy_version WHERE policy = $1 AND "
                              "language = $2 AND (version = $3 OR $4 = 1) "
                              "ORDER BY version DESC LIMIT 1");
    bind_text(q, service);
    bind_text(q, w.language);
    bind_int(q, version);
    bind_int(q, version == 0);
    bool found = query_row(q);
    if (found) {
        w.version = row_int(q, 0);
        w.published = row_time(q, 1);
    }
    TRY(query_end(q));
    if (!found)
        return ERR_NOT_FOUND;
    TRY(read_body(tx, p, &w, &body));
    *out = json_copy(body); /* the caller may add to it; what is in it is shared */
    json_put_int(*out, "version", w.version);
    json_put_moment(*out, "published", tx_arena(tx), w.published);
    return OK;
}

enum err policy_versions(struct tx *tx, str service, struct policy_version **out, size_t *n)
{
    struct policy_version *list = NULL;
    size_t cap = 0;
    struct query *q = SQL(tx, "SELECT version, min(published) FROM policy_version WHERE policy = $1 "
                              "GROUP BY version ORDER BY version DESC LIMIT $2");
    bind_text(q, service);
    bind_int(q, LIST_MAX);
    *n = 0;
    while (query_row(q)) {
        ARENA_GROW(tx_arena(tx), list, cap, *n + 1);
        list[(*n)++] = (struct policy_version){row_int(q, 0), row_time(q, 1)};
    }
    *out = list;
    return query_end(q);
}
