/* Reading what was published. */
#include "privacy/policy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 32, NAME_BYTES = 64, LANGUAGE_BYTES = 8, LIST_MAX = 1000, LISTS = 16, LISTED = 32 };

/* How long it is believed without asking that a version is the newest: another server may have published
 * since. Asking costs more than all the rest of a policy's page: SQLite's readers take turns at one lock. */
#define NEWEST_FOR (2 * MOMENT_SECOND)

/* ---- versions that are kept decoded ---- */

struct kept {
    char service[NAME_BYTES], language[LANGUAGE_BYTES];
    int64_t version;
    moment published;
    json_t *body;   /* shared by threads, so never changed */
    int64_t newest; /* when it was the newest, in clock_ticks(); 0: it is not, or nobody has asked */
};

/* All versions of a service, as they were then. */
struct list_kept {
    char service[NAME_BYTES];
    struct policy_version versions[LISTED];
    size_t n;
    int64_t asked; /* in clock_ticks() */
};

struct policies {
    pthread_mutex_t mutex;
    struct kept kept[KEPT]; /* a ring: the oldest makes room */
    int n, next;
    struct list_kept lists[LISTS];
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

void policies_forget(struct policies *k)
{
    if (k == NULL)
        return;
    pthread_mutex_lock(&k->mutex);
    for (int i = 0; i < k->n; i++)
        k->kept[i].newest = 0;
    for (int i = 0; i < LISTS; i++)
        k->lists[i].asked = 0;
    pthread_mutex_unlock(&k->mutex);
}

struct wanted {
    str service, language;
    int64_t version; /* 0: the newest */
    moment published;
};

static bool is_of(const struct kept *x, const struct wanted *w)
{
    return str_is(w->service, x->service) && str_is(w->language, x->language);
}

static bool is_fresh(int64_t ticks)
{
    return ticks != 0 && clock_ticks() - ticks < NEWEST_FOR;
}

/* The newest, where it is known which that is: fills in version and date. */
static json_t *find_newest(struct policies *k, struct wanted *w)
{
    json_t *found = NULL;
    if (k == NULL || w->version != 0)
        return NULL;
    pthread_mutex_lock(&k->mutex);
    for (int i = 0; i < k->n && found == NULL; i++) {
        const struct kept *x = &k->kept[i];
        if (!is_of(x, w) || !is_fresh(x->newest))
            continue;
        w->version = x->version;
        w->published = x->published;
        found = json_incref(x->body);
    }
    pthread_mutex_unlock(&k->mutex);
    return found;
}

static void note_newest(struct policies *k, const struct wanted *w)
{
    if (k == NULL)
        return;
    pthread_mutex_lock(&k->mutex);
    for (int i = 0; i < k->n; i++)
        if (is_of(&k->kept[i], w))
            k->kept[i].newest = k->kept[i].version == w->version ? clock_ticks() : 0;
    pthread_mutex_unlock(&k->mutex);
}

/* Its body, to be released; NULL where it is not kept. */
static json_t *find_kept(struct policies *k, const struct wanted *w)
{
    json_t *found = NULL;
    if (k == NULL)
        return NULL;
    pthread_mutex_lock(&k->mutex);
    for (int i = 0; i < k->n && found == NULL; i++) {
        const struct kept *x = &k->kept[i];
        if (x->version == w->version && x->published == w->published && is_of(x, w))
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

static enum err which_version(struct tx *tx, struct wanted *w)
{
    struct query *q = SQL(tx, "SELECT version, published FROM policy_version WHERE policy = $1 AND "
                              "language = $2 AND (version = $3 OR $4 = 1) "
                              "ORDER BY version DESC LIMIT 1");
    bind_text(q, w->service);
    bind_text(q, w->language);
    bind_int(q, w->version);
    bind_int(q, w->version == 0);
    bool found = query_row(q);
    if (found) {
        w->version = row_int(q, 0);
        w->published = row_time(q, 1);
    }
    TRY(query_end(q));
    return found ? OK : ERR_NOT_FOUND;
}

enum err policy_get(struct tx *tx, const struct privacy *p, str service, int64_t version,
                    const struct locale *l, json_t **out)
{
    struct wanted w = {.service = service, .language = str_from(l->code), .version = version};
    CLEANUP(json_done) json_t *body = find_newest(p->policies, &w);
    if (body == NULL) {
        TRY(which_version(tx, &w));
        TRY(read_body(tx, p, &w, &body));
        if (version == 0)
            note_newest(p->policies, &w);
    }
    *out = json_copy(body); /* the caller may add to it; what is in it is shared */
    json_put_int(*out, "version", w.version);
    json_put_moment(*out, "published", tx_arena(tx), w.published);
    return OK;
}

/* ---- all versions ---- */

/* The service's own place among the lists, or a free one, or the oldest. */
static struct list_kept *place_of(struct policies *k, str service)
{
    struct list_kept *best = &k->lists[0];
    for (int i = 0; i < LISTS; i++) {
        if (str_is(service, k->lists[i].service))
            return &k->lists[i];
        if (k->lists[i].asked < best->asked)
            best = &k->lists[i];
    }
    return best;
}

static bool find_list(struct policies *k, struct arena *a, str service, struct policy_version **out, size_t *n)
{
    bool found = false;
    if (k == NULL)
        return false;
    pthread_mutex_lock(&k->mutex);
    const struct list_kept *x = place_of(k, service);
    found = str_is(service, x->service) && is_fresh(x->asked);
    if (found) {
        *n = x->n;
        *out = ARENA_ARRAY(a, struct policy_version, x->n);
        memcpy(*out, x->versions, x->n * sizeof **out);
    }
    pthread_mutex_unlock(&k->mutex);
    return found;
}

static void keep_list(struct policies *k, str service, const struct policy_version *list, size_t n)
{
    if (k == NULL || service.n >= NAME_BYTES || n > LISTED || n == 0)
        return;
    pthread_mutex_lock(&k->mutex);
    struct list_kept *x = place_of(k, service);
    *x = (struct list_kept){.n = n, .asked = clock_ticks()};
    memcpy(x->service, service.p, service.n);
    memcpy(x->versions, list, n * sizeof *list);
    pthread_mutex_unlock(&k->mutex);
}

enum err policy_versions(struct tx *tx, const struct privacy *p, str service, struct policy_version **out, size_t *n)
{
    struct policy_version *list = NULL;
    size_t cap = 0, count = 0;
    if (find_list(p->policies, tx_arena(tx), service, out, n))
        return OK;
    struct query *q = SQL(tx, "SELECT version, min(published) FROM policy_version WHERE policy = $1 "
                              "GROUP BY version ORDER BY version DESC LIMIT $2");
    bind_text(q, service);
    bind_int(q, LIST_MAX);
    while (query_row(q)) {
        ARENA_GROW(tx_arena(tx), list, cap, count + 1);
        list[count++] = (struct policy_version){row_int(q, 0), row_time(q, 1)};
    }
    TRY(query_end(q));
    keep_list(p->policies, service, list, count);
    *out = list;
    *n = count;
    return OK;
}
