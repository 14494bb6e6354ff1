/*
 * A request's head and a posted form, as anybody may send them.
 *
 * Input: a request as on the wire. What must hold:
 * - a head that head_check() lets through frames its message in one way only, and none of its
 *   headers holds a line end;
 * - a path that target_split() lets through is one line of text from '/' on, without a segment that
 *   leads elsewhere; written out again, it is the same path;
 * - a form that form_check() finds right holds text of the declared kind, within its limits;
 * - every form, right or wrong, can be shown again.
 */
#include "fuzz.h"

#include <string.h>

#include "base/codec.h"
#include "base/email.h"
#include "web/internal.h"

enum { MAX_HEADERS = 100, MAX_VALUE = 4000 };

static const char *const choices[] = {"now", "later", NULL};

/* A field of every type; "offer" takes what the page offers, which is the handler's to check. */
static const struct form_field fields[] = {
    {"email", FIELD_EMAIL, .label = "l", .hint = "h"},
    {"password", FIELD_PASSWORD, .label = "l"},
    {"new", FIELD_NEW_PASSWORD, .label = "l"},
    {"line", FIELD_TEXT, .label = "l", .required = true},
    {"lines", FIELD_LINES, .label = "l"},
    {"tick", FIELD_CHECK, .label = "l"},
    {"choice", FIELD_CHOICE, .label = "l", .choices = choices, .choice_prefix = "c."},
    {"offer", FIELD_CHOICE, .label = "l"},
    {"radio", FIELD_RADIO, .label = "l", .choices = choices},
    {"next", FIELD_HIDDEN},
    {"file", FIELD_FILE, .label = "l", .max_file = 1 << 20},
};
static const struct form form = {"all", fields, COUNT(fields)};

static const char *const languages[] = {"en", "sv"};

/* ---- from bytes to a head, as a lenient server would ---- */

static str word(str *line)
{
    str before = *line;
    if (!str_cut(*line, ' ', &before, line))
        *line = (str){NULL, 0};
    return before;
}

static str read_head(str rest, struct head *h, struct header headers[MAX_HEADERS])
{
    str line = next_line(&rest), name, value;
    h->method = word(&line);
    h->target = word(&line);
    h->version = line;
    h->peer = STR("127.0.0.1");
    h->headers = headers;
    while ((line = next_line(&rest)).n > 0 && h->n_headers < MAX_HEADERS)
        if (str_cut(line, ':', &name, &value))
            headers[h->n_headers++] = (struct header){name, str_trim(value)};
    return rest;
}

/* ---- what must hold ---- */

static void check_head(const struct head *h)
{
    size_t framed = 0;
    for (size_t i = 0; i < h->n_headers; i++) {
        str name = h->headers[i].name, v = h->headers[i].value;
        framed += (name.n == 14 && strncasecmp(name.p, "Content-Length", 14) == 0) ||
                  (name.n == 17 && strncasecmp(name.p, "Transfer-Encoding", 17) == 0);
        MUST(!str_has(v, '\r') && !str_has(v, '\n') && !str_has(v, '\0'));
    }
    MUST(framed <= 1);
    MUST(!str_is(h->version, "HTTP/1.1") || head_count(h, "Host") == 1);
}

static void check_path(struct arena *a, str path)
{
    MUST(path.n > 0 && path.p[0] == '/' && utf8_is_line(path));
    MUST(!str_has(path, '\\') && !str_has(path, '\0') && !str_contains(path, STR("//")));
    MUST(!str_contains(path, STR("/../")) && !str_contains(path, STR("/./")));
    MUST(!str_ends(path, STR("/..")) && !str_ends(path, STR("/.")));
    struct buf again = buf_new(a, 3 * path.n + 1);
    str rest = path, segment;
    while (str_cut(rest, '/', &segment, &rest)) {
        buf_put(&again, percent_encode(a, segment));
        buf_char(&again, '/');
    }
    buf_put(&again, percent_encode(a, rest));
    str same, query;
    if (again.n <= 4096)
        MUST(target_split(a, buf_str(&again), &same, &query) == OK && str_eq(same, path));
}

static void check_value(struct arena *a, const struct form_field *f, str v)
{
    struct email email;
    MUST(v.n <= MAX_VALUE && (v.n > 0 || !f->required));
    if (v.n == 0 || f->type == FIELD_PASSWORD || f->type == FIELD_NEW_PASSWORD)
        return;
    MUST(utf8_valid(v));
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        MUST((c >= 0x20 && c != 0x7f) || (f->type == FIELD_LINES && (c == '\n' || c == '\t')));
    }
    if (f->type == FIELD_EMAIL)
        MUST(email_parse(a, v, &email) == OK);
    if (f->type == FIELD_CHECK)
        MUST(str_is(v, "yes") || str_is(v, "on"));
    if (f->choices)
        MUST(str_is(v, "now") || str_is(v, "later"));
    if (f->type == FIELD_HIDDEN)
        MUST(!str_has(v, '<') && !str_has(v, '"') && !str_has(v, '\'') && !str_has(v, ' '));
}

/* ---- the form, in either encoding ---- */

struct parts {
    struct arena *arena;
    struct form_state *state;
    str name;
    struct buf value;
};

static enum err begin_part(void *arg, str name, str file, bool is_file)
{
    struct parts *p = arg;
    p->name = is_file ? STR("file") : str_dup(p->arena, name);
    p->value = buf_new(p->arena, 64 * 1024);
    buf_put(&p->value, file);
    return OK;
}

static enum err part_data(void *arg, str bytes)
{
    struct parts *p = arg;
    if (!str_is(p->name, "file"))
        buf_put(&p->value, bytes);
    return OK;
}

static enum err end_part(void *arg)
{
    struct parts *p = arg;
    if (str_is(p->name, "csrf"))
        return OK;
    return form_take(p->state, p->arena, p->name, buf_str(&p->value), NULL);
}

static const struct multipart_ops ops = {begin_part, part_data, end_part};

static enum err read_form(struct arena *a, str type, str body, struct form_state *s)
{
    struct parts parts = {.arena = a, .state = s};
    struct multipart *m;
    str csrf;
    struct fault f = {0};
    if (!str_starts(type, STR("multipart/")))
        return form_read(s, a, body, &csrf, &f);
    TRY(multipart_new(a, type, &ops, &parts, &m, &f));
    TRY(multipart_push(m, body));
    return multipart_finish(m);
}

static void check_form(struct arena *a, str type, str body)
{
    struct form_state s = {.form = &form};
    if (read_form(a, type, body, &s) != OK)
        return;
    form_check(&s, a);
    for (size_t i = 0; i < form.n; i++)
        if (s.error[i] == NULL)
            check_value(a, &fields[i], s.value[i]);
    const struct catalog *c = catalog_new(a, languages, COUNT(languages));
    struct locale l = {.code = "en"};
    CLEANUP(json_done) json_t *view = form_view(&s, c, &l, a, STR("token"));
    MUST(json_encode(a, view, false).n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(FUZZ_ARENA);
    struct header headers[MAX_HEADERS];
    struct head h = {0};
    struct fault f = {0};
    str body = read_head(str_of(data, n), &h, headers), path, query = {NULL, 0};

    if (head_check(&h, &f) == OK)
        check_head(&h);
    if (target_split(a, h.target, &path, &query) == OK)
        check_path(a, path);

    const struct catalog *c = catalog_new(a, languages, COUNT(languages));
    int language = catalog_negotiate(c, head_get(&h, "Accept-Language"));
    MUST(language >= 0 && language < (int)COUNT(languages));

    struct web web = {.tls = false};
    struct request req = {.web = &web, .arena = a, .head = &h, .query = query};
    str next = request_query(&req, "next", 200), cookie = cookie_read(&req, "session");
    MUST(next.n <= 200 && utf8_is_line(next));
    MUST(!str_has(cookie, ';'));
    if (request_is_local(next))
        MUST(next.p[0] == '/' && !str_starts(next, STR("//")) && !str_has(next, '\\'));
    (void)request_browser(&req);

    check_form(a, head_get(&h, "Content-Type"), body);
    arena_free(&a);
    return 0;
}
