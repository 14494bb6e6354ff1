/* Reading what came from elsewhere: every text by its length, every list by its count, every ID by its shape. */
#include "client/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

json_t *answer_json(const char *text, size_t n)
{
    json_t *j = text ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!json_is_object(j))
        json_done(&j);
    return j;
}

/* A text of ours ends at its first zero byte: one in the middle (Jansson refuses them) would hide the rest. */
const char *answer_text(const json_t *object, const char *name, size_t max)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) && json_string_length(value) <= max ? json_string_value(value) : NULL;
}

static bool answer_int(const json_t *object, const char *name, int min, int max, int *out)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
        return false;
    *out = (int)json_integer_value(value);
    return true;
}

bool answer_id(const char *text)
{
    return text && strlen(text) == ID_LENGTH && strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz") == ID_LENGTH;
}

bool answer_token(const char *text)
{
    return text && *text && strlen(text) < 200 && strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz.") == strlen(text);
}

bool answer_url(const char *url)
{
    static const char *const loopback[] = {"http://127.0.0.1", "http://[::1]", "http://localhost"};
    size_t n = strlen(url);
    if (n > 200 || strpbrk(url, "@?# \t\r\n\\") || (n && url[n - 1] == '/'))
        return false;
    if (strncmp(url, "https://", 8) == 0)
        return n > 8 && url[8] != '/';
    for (size_t i = 0; i < COUNT(loopback); i++) {
        size_t k = strlen(loopback[i]);
        if (strncmp(url, loopback[i], k) == 0 && (!url[k] || url[k] == ':' || url[k] == '/'))
            return true;
    }
    return false;
}

/* ---- times ---- */

static bool digits(const char *text, size_t n, int *out)
{
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + text[i] - '0';
    }
    *out = value;
    return true;
}

/* Days since 1970 in the Gregorian calendar (Howard Hinnant, days_from_civil). */
static int64_t days(int year, int month, int day)
{
    int y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * INT64_C(146097) + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int days_of(int year, int month)
{
    static const int long_ones[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : long_ones[month - 1];
}

/* What stands behind the seconds: "Z", or a point, digits and "Z". */
static bool fraction(const char *text)
{
    if (*text == '.') {
        size_t n = strspn(text + 1, "0123456789");
        text += n ? n + 1 : 0;
    }
    return text[0] == 'Z' && !text[1];
}

bool answer_time(const char *s, int64_t *out)
{
    int year, month, day, hour, minute, second;
    if (!s || strlen(s) < 20 || strlen(s) > 40 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' ||
        s[16] != ':')
        return false;
    if (!digits(s, 4, &year) || !digits(s + 5, 2, &month) || !digits(s + 8, 2, &day) || !digits(s + 11, 2, &hour) ||
        !digits(s + 14, 2, &minute) || !digits(s + 17, 2, &second))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of(year, month) || hour > 23 || minute > 59 ||
        second > 60 || !fraction(s + 19))
        return false;
    *out = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

/* ---- the statement ---- */

void statement_done(struct told_statement *s)
{
    json_done(&s->from);
    s->is = (struct troth_statement){0};
}

static bool version_fits(const char *v)
{
    size_t number = v ? strspn(v, "0123456789") : 0;
    return number > 0 && v[number] == '.' && v[number + 1] &&
           strspn(v + number + 1, "0123456789abcdefghijklmnopqrstuvwxyz") == strlen(v + number + 1);
}

static bool read_documents(const json_t *list, struct told_statement *s)
{
    if (!json_is_array(list) || json_array_size(list) > LIST_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *d = json_array_get(list, i);
        struct troth_document *to = &s->documents[i];
        to->rel = answer_text(d, "rel", TEXT_MAX);
        to->title = answer_text(d, "title", TEXT_MAX);
        to->url = answer_text(d, "url", TEXT_MAX);
        if (!to->rel || !to->title || !to->url)
            return false;
    }
    s->is.documents = s->documents;
    s->is.n_documents = json_array_size(list);
    return true;
}

static bool read_fields(const json_t *list, struct told_statement *s)
{
    if (!json_is_array(list) || json_array_size(list) > LIST_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *f = json_array_get(list, i);
        struct troth_field *to = &s->fields[i];
        to->name = answer_text(f, "name", TEXT_MAX);
        to->group = answer_text(f, "group", TEXT_MAX);
        to->meaning = answer_text(f, "meaning", TEXT_MAX);
        if (!to->name || !to->meaning)
            return false;
    }
    s->is.fields = s->fields;
    s->is.n_fields = json_array_size(list);
    return true;
}

enum troth_result answer_statement(json_t *j, struct told_statement *out)
{
    struct troth_statement *s = &out->is;
    statement_done(out);
    *s = (struct troth_statement){.version = answer_text(j, "version", 60),
                                  .locale = answer_text(j, "locale", 40),
                                  .title = answer_text(j, "title", TEXT_MAX),
                                  .text = answer_text(j, "text", LONG_TEXT_MAX)};
    if (!version_fits(s->version) || !s->locale || !s->title || !s->text ||
        !read_documents(json_object_get(j, "documents"), out) || !read_fields(json_object_get(j, "fields"), out)) {
        statement_done(out);
        return TROTH_ANSWER;
    }
    out->from = json_incref(j);
    return TROTH_OK;
}

/* ---- the steps ---- */

enum troth_next answer_next(const json_t *j)
{
    static const char *const names[] = {[TROTH_NEXT_CONFIRM] = "confirm-address",
                                        [TROTH_NEXT_SECOND_FACTOR] = "second-factor",
                                        [TROTH_NEXT_BIND] = "bind"};
    const char *next = answer_text(j, "next", 40);
    for (size_t i = TROTH_NEXT_CONFIRM; next && i < COUNT(names); i++)
        if (strcmp(next, names[i]) == 0)
            return (enum troth_next)i;
    return (enum troth_next)0;
}

enum troth_result answer_grant(json_t *j, struct troth_grant *out)
{
    const char *code = answer_text(j, "device_code", 80);
    struct troth_grant g = {.user_code = answer_text(j, "user_code", 40),
                            .uri = answer_text(j, "verification_uri", TEXT_MAX),
                            .uri_complete = answer_text(j, "verification_uri_complete", TEXT_MAX),
                            .interval = 5};
    if (!code || strspn(code, "0123456789abcdefghijklmnopqrstuvwxyz") != strlen(code) || !g.user_code || !g.uri ||
        !g.uri_complete || !answer_int(j, "expires_in", 1, INTERVAL_MAX, &g.expires_in))
        return TROTH_ANSWER;
    if (json_object_get(j, "interval") && !answer_int(j, "interval", 0, 3600, &g.interval))
        return TROTH_ANSWER;
    *out = g;
    return TROTH_OK;
}

enum troth_result answer_binding(json_t *j)
{
    static const char *const ids[] = {"device_id", "application_instance_id", "binding_id", "user_id"};
    int interval;
    for (size_t i = 0; i < COUNT(ids); i++)
        if (!answer_id(answer_text(j, ids[i], ID_LENGTH)))
            return TROTH_ANSWER;
    if (!answer_token(answer_text(j, "token", 199)) || !answer_int(j, "interval", INTERVAL_MIN, INTERVAL_MAX, &interval))
        return TROTH_ANSWER;
    return TROTH_OK;
}

/* ---- state ---- */

void told_state_done(struct told_state *s)
{
    text_free(&s->information);
    json_done(&s->from);
    *s = (struct told_state){0};
    s->license = (struct troth_license){sizeof s->license, "none", "none", "{}", "", NULL, NULL, 0};
    s->is = (struct troth_state){.interval = 300};
}

static bool read_list(const json_t *list, size_t longest, const char **to, size_t *n)
{
    if (!json_is_array(list) || json_array_size(list) > LIST_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_string(value) || json_string_length(value) > longest)
            return false;
        to[i] = json_string_value(value);
    }
    *n = json_array_size(list);
    return true;
}

static bool read_license(const json_t *j, struct told_state *s)
{
    const json_t *expires = json_object_get(j, "expires"), *information = json_object_get(j, "service_information");
    struct troth_license *l = &s->license;
    int64_t when;
    *l = (struct troth_license){.size = sizeof *l,
                                .type = answer_text(j, "type", 40),
                                .status = answer_text(j, "status", 40),
                                .activation_error = answer_text(j, "activation_error", 60),
                                .expires = answer_text(j, "expires", 40),
                                .features = s->features};
    if (!l->type || !l->status || !l->activation_error || !json_is_object(information) ||
        !(json_is_null(expires) || answer_time(l->expires, &when)) ||
        !read_list(json_object_get(j, "features"), 40, s->features, &l->n_features))
        return false;
    s->information = json_dumps(information, JSON_COMPACT | JSON_SORT_KEYS);
    l->service_information = s->information;
    return s->information && strlen(s->information) <= 2048;
}

enum troth_result answer_state(json_t *j, struct told_state *out)
{
    struct told_state s = {0};
    bool fine = answer_int(j, "commands_waiting", 0, INT_MAX, &s.is.commands_waiting) &&
                answer_int(j, "interval", INTERVAL_MIN, INTERVAL_MAX, &s.is.interval) &&
                read_list(json_object_get(j, "activation_codes"), 60, s.codes, &s.is.n_activation_codes) &&
                read_license(json_object_get(j, "license"), &s);
    if (!fine) {
        text_free(&s.information);
        return TROTH_ANSWER;
    }
    s.from = json_incref(j);
    told_state_done(out);
    *out = s;
    out->license.features = out->features;
    out->is.license = &out->license;
    out->is.activation_codes = out->codes;
    return TROTH_OK;
}

bool answer_waiting(const json_t *j)
{
    int n;
    return answer_int(j, "commands_waiting", 1, INT_MAX, &n);
}

/* ---- commands ---- */

static bool read_command(const json_t *j, struct troth_command *c)
{
    *c = (struct troth_command){.id = answer_text(j, "id", ID_LENGTH),
                                .kind = answer_text(j, "kind", 40),
                                .text = answer_text(j, "text", 4 * TEXT_MAX)};
    return answer_id(c->id) && c->kind && (c->text || !json_object_get(j, "text")) &&
           answer_time(answer_text(j, "made", 40), &c->made) && answer_time(answer_text(j, "expires", 40), &c->expires);
}

enum troth_result answer_commands(json_t *j, struct told_commands *out)
{
    const json_t *list = json_object_get(j, "commands");
    struct told_commands c = {.n = json_array_size(list)};
    if (!json_is_array(list) || c.n > LIST_MAX)
        return TROTH_ANSWER;
    for (size_t i = 0; i < c.n; i++)
        if (!read_command(json_array_get(list, i), &c.is[i]))
            return TROTH_ANSWER;
    c.from = json_incref(j);
    json_done(&out->from);
    *out = c;
    return TROTH_OK;
}
