/*
 * The demo's mailbox and telephone: what mail and sms wrote into folders, read in the browser. Only where the configuration says
 * that this is a demo, only from this machine.
 */
#include "features/feature.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <gmime/gmime.h>

#include "base/file.h"

enum { MAX_SHOWN = 50, MAX_MAIL = 1 << 20 };

extern const struct feature feature_demo;

static const char *folder(struct request *req)
{
    const struct settings *s = PORTAL(req)->settings;
    if (!s->demo || !str_starts(s->mail, STR("file:")))
        return NULL;
    return str_cstr(req->arena, str_skip(s->mail, 5));
}

struct letter {
    str to, subject, date, text, link;
    moment when;
};

static str header(struct arena *a, GMimeMessage *m, const char *name)
{
    const char *v = g_mime_object_get_header(GMIME_OBJECT(m), name);
    return str_dup(a, str_from(v ? v : ""));
}

/* The plain part, and the first link in it. */
static void read_text(struct arena *a, GMimeMessage *m, struct letter *out)
{
    GMimeObject *both = g_mime_message_get_mime_part(m);
    if (!GMIME_IS_MULTIPART(both))
        return;
    GMimeObject *part = g_mime_multipart_get_part(GMIME_MULTIPART(both), 0);
    if (!GMIME_IS_TEXT_PART(part))
        return;
    char *text = g_mime_text_part_get_text(GMIME_TEXT_PART(part));
    out->text = str_dup(a, str_from(text));
    g_free(text);
    const char *link = strstr(out->text.p, "http");
    if (link != NULL)
        out->link = str_of(link, strcspn(link, " \r\n"));
}

static enum err read_letter(struct arena *a, str bytes, struct letter *out)
{
    GMimeStream *s = g_mime_stream_mem_new_with_buffer(bytes.p, bytes.n);
    GMimeParser *parser = g_mime_parser_new_with_stream(s);
    GMimeMessage *m = g_mime_parser_construct_message(parser, NULL);
    g_object_unref(parser);
    g_object_unref(s);
    if (m == NULL)
        return ERR_INPUT;
    const char *subject = g_mime_message_get_subject(m);
    GDateTime *date = g_mime_message_get_date(m);
    out->to = header(a, m, "To");
    out->subject = str_dup(a, str_from(subject ? subject : ""));
    out->when = date ? g_date_time_to_unix(date) * MOMENT_SECOND : 0;
    read_text(a, m, out);
    g_object_unref(m);
    return OK;
}

static int newest_first(const void *x, const void *y)
{
    const struct letter *a = x, *b = y;
    return (a->when < b->when) - (a->when > b->when);
}

struct mail_file {
    const char *path;
    struct timespec written;
};

static int last_written_first(const void *x, const void *y)
{
    const struct timespec *a = &((const struct mail_file *)x)->written;
    const struct timespec *b = &((const struct mail_file *)y)->written;
    if (a->tv_sec != b->tv_sec)
        return (a->tv_sec < b->tv_sec) - (a->tv_sec > b->tv_sec);
    return (a->tv_nsec < b->tv_nsec) - (a->tv_nsec > b->tv_nsec);
}

static size_t list_folder(struct request *req, const char *path, struct mail_file **out)
{
    size_t n = 0, cap = 0;
    struct stat st;
    DIR *d = opendir(path);
    *out = NULL;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        const char *file = str_fmt(req->arena, "%s/%s", path, e->d_name).p;
        if (!str_ends(str_from(e->d_name), STR(".eml")) || stat(file, &st) != 0)
            continue;
        ARENA_GROW(req->arena, *out, cap, n + 1);
        (*out)[n++] = (struct mail_file){file, st.st_mtim};
    }
    if (d)
        closedir(d);
    if (n > 0)
        qsort(*out, n, sizeof **out, last_written_first);
    return n;
}

/* The newest, however many there are. */
static enum err read_folder(struct request *req, struct letter *list, size_t *n)
{
    struct mail_file *files;
    const char *path = folder(req);
    *n = 0;
    if (path == NULL)
        return ERR_NOT_FOUND;
    size_t n_files = list_folder(req, path, &files);
    for (size_t i = 0; i < n_files && *n < MAX_SHOWN; i++) {
        str bytes;
        struct letter l = {0};
        if (file_read(req->arena, files[i].path, MAX_MAIL, &bytes, NULL) == OK &&
            read_letter(req->arena, bytes, &l) == OK)
            list[(*n)++] = l;
    }
    if (*n > 0)
        qsort(list, *n, sizeof *list, newest_first);
    return OK;
}

/* Our own link, as a path: the demo may be reached by another name than its public URL. */
static str local_link(struct request *req, str link)
{
    str base = PORTAL(req)->settings->public_url;
    return str_starts(link, base) ? str_skip(link, base.n) : link;
}

static enum err show_mail(struct request *req)
{
    struct letter *list = ARENA_ARRAY(req->arena, struct letter, MAX_SHOWN);
    size_t n;
    TRY(read_folder(req, list, &n));
    json_t *mails = json_put_array(req->view, "mails");
    for (size_t i = 0; i < n; i++) {
        json_t *m = json_add_object(mails);
        json_put_str(m, "to", list[i].to);
        json_put_str(m, "subject", list[i].subject);
        json_put_str(m, "text", list[i].text);
        json_put_moment(m, "when", req->arena, list[i].when);
        json_put_bool(m, "has_link", list[i].link.n > 0);
        json_put_str(m, "link", list[i].link.n ? local_link(req, list[i].link) : STR("/"));
    }
    json_put_bool(req->view, "empty", n == 0);
    json_put_bool(req->view, "messages", str_starts(PORTAL(req)->settings->sms, STR("file:")));
    return request_page(req, "demo/mail");
}

/* ---- text messages: what sms:file wrote ---- */

struct text_message {
    str to, text, when;
};

static int latest_first(const void *x, const void *y)
{
    const struct text_message *a = x, *b = y;
    return str_cmp(b->when, a->when);
}

static enum err read_message(struct arena *a, str bytes, struct text_message *out)
{
    CLEANUP(json_done) json_t *j = NULL;
    TRY(json_decode(bytes, &j, NULL));
    out->to = str_dup(a, json_get_str(j, "to"));
    out->text = str_dup(a, json_get_str(j, "text"));
    out->when = str_dup(a, json_get_str(j, "when"));
    return OK;
}

static enum err read_messages(struct request *req, struct text_message *list, size_t *n)
{
    const struct settings *s = PORTAL(req)->settings;
    if (!s->demo || !str_starts(s->sms, STR("file:")))
        return ERR_NOT_FOUND;
    const char *path = str_cstr(req->arena, str_skip(s->sms, 5));
    DIR *d = opendir(path);
    *n = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL && *n < MAX_SHOWN;) {
        str bytes;
        if (str_ends(str_from(e->d_name), STR(".json")) &&
            file_read(req->arena, str_fmt(req->arena, "%s/%s", path, e->d_name).p, MAX_MAIL, &bytes, NULL) == OK &&
            read_message(req->arena, bytes, &list[*n]) == OK)
            ++*n;
    }
    if (d)
        closedir(d);
    if (*n > 0)
        qsort(list, *n, sizeof *list, latest_first);
    return OK;
}

static enum err show_messages(struct request *req)
{
    struct text_message *list = ARENA_ARRAY(req->arena, struct text_message, MAX_SHOWN);
    size_t n;
    TRY(read_messages(req, list, &n));
    json_t *all = json_put_array(req->view, "messages");
    for (size_t i = 0; i < n; i++) {
        json_t *m = json_add_object(all);
        json_put_str(m, "to", list[i].to);
        json_put_str(m, "text", list[i].text);
        json_put_str(m, "when", list[i].when);
    }
    json_put_bool(req->view, "empty", n == 0);
    return request_page(req, "demo/messages");
}

static const struct route routes[] = {
    {METHOD_GET, "/demo/mail", show_mail, GUARD_LOOPBACK, RATE_PAGE},
    {METHOD_GET, "/demo/messages", show_messages, GUARD_LOOPBACK, RATE_PAGE},
    {0},
};

const struct feature feature_demo = {
    .name = "demo",
    .routes = (const struct route *const[]){routes, NULL},
};
