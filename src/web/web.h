/*
 * web: from a request to a page. Knows no feature: those give it routes, forms and views.
 *
 * A route row says method, path, who may enter, the form it takes, its body limit and its rate class;
 * a row that leaves one out does not start. What no row says is refused.
 *
 * A handler reads checked input, calls its model and fills a view (JSON). The platform commits, then
 * renders the view as a page, or answers it as it is to Accept: application/json. A handler's error
 * becomes the right status page or problem+json (RFC 9457) in one place.
 *
 *     static enum err show_devices(struct request *req)
 *     {
 *         json_t *list = json_put_array(req->view, "devices");
 *         TRY(device_list(request_read(req), req->session.account, list));
 *         return request_page(req, "devices/list");
 *     }
 */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include "privacy/privacy.h"
#include "web/assets.h"
#include "web/form.h"
#include "web/http.h"
#include "web/limits.h"
#include "web/session.h"

struct web;
struct request;

typedef enum err handler(struct request *req);

/* Who may enter. */
enum guard {
    GUARD_MISSING = 0,
    GUARD_PUBLIC,
    GUARD_SIGNED_IN,
    GUARD_RECENT,   /* signed in, and the password proved within ten minutes */
    GUARD_LOOPBACK, /* from this machine, past no proxy */
    /* Who works here in one of the row's roles, has a second factor, and comes from a network that the
     * desk is open to. To everybody else such a path does not exist (404). */
    GUARD_STAFF,
    /* Rows under /api/, for programs: no session, no cookie is read or set there, and no form token asked
     * for. What they answer is JSON, and what is wrong problem+json. */
    GUARD_APP,    /* any program */
    GUARD_DEVICE, /* one that is bound to an account, by its token (Authorization: Bearer) */
};

/* For `reads`: whatever the inventory opens to the reader's roles. */
extern const char *const reads_by_role[];
typedef const struct form *form_of(struct request *req);
/* Checks a message to a row under /api/, with its path, query and headers: request_wrong() for what is wrong
 * with a field, request_problem() for the rest. */
typedef enum err message_fn(struct request *req);

struct route {
    enum method method; /* GET also answers HEAD */
    const char *path;   /* "/account/takeouts/:id": a segment with ':' is a value */
    handler *run;
    enum guard guard;
    enum rate rate;
    const struct form *form;         /* POST: what it takes */
    const struct form *const *shows; /* forms on the page, NULL-terminated; POST: where the answer is a page */
    const char *again;               /* POST: the page that shows the form again when it is wrong; a
                                      * segment with ':' has the request's own value */
    size_t body_max;                 /* POST: bytes; 0: 16 KiB; with files, of the whole body */
    bool no_csrf;                    /* POST from elsewhere: a token in it says all (RFC 8058) */
    unsigned roles;                  /* GUARD_STAFF: to whom of the staff it is open (role.h) */
    const char *const *reads;        /* GUARD_STAFF: records of people that it shows, NULL-terminated; each
                                      * must be open to each of the roles */
    /* POST from a program elsewhere that signs what it sends: the body as it came, whatever its type, is
     * req->body. No form, no form token; the handler checks the signature before it reads anything. */
    bool raw;
    bool own_errors;                 /* the handler says itself what is wrong with the form (req->form.wrong) */
    form_of *forms;                  /* beside or instead of `form` and `shows`: a declared form that
                                      * the path's segments choose; NULL: 404 */
    message_fn *message;             /* rows under /api/: what checks a request before its handler; POST and PUT
                                      * without a form take one JSON object, req->message */
};

/* Where it stands in the menu of people who are signed in. */
struct menu_entry {
    const char *path;
    const char *label; /* a key */
    unsigned roles;    /* of the desk's menu, for these; 0: of everybody's own */
    int place;         /* the smaller stands first; of equals the one that was declared first */
};

/* What a feature knows of a signed-in person that every page needs. */
struct person {
    str language; /* ISO 639, or empty */
    str zone;     /* IANA, or empty */
};
/* What a feature knows of somebody who works here. */
struct standing {
    bool here;          /* they do, now */
    bool second_factor; /* they have one, without which the desk stays shut (SEC-07) */
    bool network;       /* they come from where the desk is open to */
    unsigned roles;
    str pseudonym; /* as the people whom they look at read it */
};
typedef enum err standing_fn(struct tx *tx, void *app, id account, str peer, struct standing *out);

typedef enum err person_fn(struct tx *tx, void *app, id account, struct person *out);
/* Whose token is it? Puts what it knows into req->device. ERR_NOT_FOUND: nobody's (401); ERR_DENIED: it was
 * one, and is over (410). */
typedef enum err device_fn(struct request *req, str token);

struct web_config {
    const struct privacy *privacy;
    const struct template_set *pages;
    void *app; /* for handlers: request_app() */
    str public_url; /* "https://portal.example.com", without a slash at its end */
    const struct route *const *routes; /* lists, each ended by a row without a path */
    size_t n_lists;
    const struct menu_entry *menu;
    size_t n_menu;
    person_fn *person;
    standing_fn *standing; /* NULL: nobody works here, and what is GUARD_STAFF does not exist */
    device_fn *device;     /* NULL: no token is anybody's */
    const struct rate_config *rates; /* RATE_CLASSES of them */
    void (*committed)(void *app);    /* called after a write was committed; may be NULL */
    const struct places *places; /* NULL: none are known */
    bool behind_proxy; /* X-Forwarded-For is set by a proxy of ours */
    bool demo;         /* pages say so, and link to the mail that was "sent" */
};

/* ERR_INPUT: a route row that leaves something out, by its path; one of the staff's that reads what no
 * record is, or what one of its roles may not read. */
CHECKED enum err web_open(struct web **out, const struct web_config *config, struct fault *f);
void web_close(struct web **w); /* for CLEANUP */

/* ---- for handlers ---- */

enum { MAX_SEGMENTS = 4 };

enum { WRONG_FIELDS = 32 };

/* A field of a message, "device.os_type", and what is wrong with it: a key. */
struct wrong_field {
    str name;
    const char *why;
};

struct request {
    struct web *web;
    struct arena *arena;
    struct fault *fault;
    const struct head *head;
    enum method method;
    str path, query;
    const struct route *route;
    str segment[MAX_SEGMENTS]; /* values of the path's ':' segments */
    struct session session;    /* .there: is somebody signed in? */
    struct standing staff;     /* GUARD_STAFF: who it is that works here */
    struct locale locale;
    str peer;                  /* the visitor's address */
    struct form_state form;    /* what a POST sent, checked */
    json_t *message;           /* what a program sent instead, checked */
    void *device;              /* GUARD_DEVICE: what the device_fn knows of it */
    str body;                  /* what it sent to a raw row, as it came */
    struct form_state *shown;  /* the page's forms, as many as the route shows */
    size_t n_shown;
    json_t *view;
    struct response *response;
    /* the platform's own */
    id id; /* names this request in the log and on an error's page */
    int status;
    const char *template;
    str redirect;
    struct tx *tx;
    str form_secret;
    bool set_form_cookie, json;
    bool api; /* its path is under /api/ */
    const char *problem; /* what request_problem() was told: a key */
    int wait_s;          /* beside it: Retry-After */
    struct wrong_field wrong[WRONG_FIELDS];
    size_t n_wrong;
    bool unlisted; /* one of them is none that there is */
    bool writing; /* tx is a write transaction */
    struct memo *memos;
    struct upload *upload;
};

void *request_app(const struct request *req);
const struct privacy *request_privacy(const struct request *req);

/* The request's transaction; begun at the first call, committed by the platform if the handler
 * answers OK. Reading first and writing later begins a second one. */
struct tx *request_read(struct request *req);
struct tx *request_write(struct request *req);
/* Gives the transaction for reading back before something slow, such as a hash: others wait for it. */
void request_rest(struct request *req);
/*
 * A handler is begun anew where another transaction was in the way of its own. What it has done meanwhile
 * in a transaction of its own (used up a captcha, counted a try) stays done, and is not to be done again:
 * it notes that here. Memory of that size, zeroed at first, and the same at every attempt of this request.
 */
void *request_memo(struct request *req, const char *what, size_t size);
/* The signed-in person's key, fetched once. */
CHECKED enum err request_key(struct request *req, struct key *out);

/* GUARD_STAFF: does the row read this record, and may the reader (REC-01)? A name that no record has is
 * a bug and aborts. */
bool request_may_read(const struct request *req, const char *record);

/* A parameter of the query, decoded; empty where it is absent, malformed or longer than max. */
str request_query(struct request *req, const char *name, size_t max);
/* A form on this page, by name, to put values in. */
struct form_state *request_form(struct request *req, const char *name);

/* Answers: a page of this template with req->view. */
CHECKED enum err request_page(struct request *req, const char *template);
CHECKED enum err request_page_as(struct request *req, int status, const char *template);
/* After a POST: see there (303); JSON clients get `status` and {"location": …}. */
CHECKED enum err request_see(struct request *req, int status, str location);
/* The form was wrong: the page again, with what was typed and what is wrong with it. */
CHECKED enum err request_again(struct request *req, int status);
/* Bytes as they are. */
CHECKED enum err request_bytes(struct request *req, int status, const char *type, str bytes);
/* req->view as JSON. */
CHECKED enum err request_json(struct request *req, int status);
/* Nothing but the status: 204, 304. */
CHECKED enum err request_empty(struct request *req, int status);
/* The answer's ETag; and is it among those of If-None-Match? (RFC 9110, 8.8.3 and 13.1.2; compared weakly.) */
void request_etag(struct request *req, str tag);
bool request_matches(const struct request *req, str tag);
/* Refuses, with a status and a reason: a key problem.CODE, whose CODE programs get as it is. Nothing that the
 * request wrote is kept. */
enum err request_problem(struct request *req, int status, const char *why);
/* A field of the message is wrong. All of them are told together (400). */
void request_wrong(struct request *req, str name, const char *why);
/* A stream to save under that name. */
CHECKED enum err request_download(struct request *req, const char *type, str name,
                                  struct body_source source);

/* Cookies: only those that an inventory declares; another name is a bug and aborts. An empty value
 * removes it. */
void request_set_cookie(struct request *req, const char *name, str value);
str request_cookie(const struct request *req, const char *name);
/* Signs in: the cookie of a session that session_begin() made. */
void request_sign_in(struct request *req, str token);
void request_sign_out(struct request *req);

/* An absolute URL for a mail. */
str request_url(const struct request *req, struct arena *a, str path);
/* Is it a path of ours to go on to (no other host)? */
bool request_is_local(str path);
/* The browser and system that sent it, in few words ("Firefox, Windows"). */
str request_browser(const struct request *req);

/* An address as people read it: "203.0.113.9", or with about where that is, "203.0.113.9 (Lund, Sweden)". */
str request_origin(const struct request *req, const struct locale *l, str address);

/* ---- for servers ---- */

struct exchange; /* one request and its response */

/* A head has come. Never NULL; the head's slices must live until web_end(). */
struct exchange *web_begin(struct web *w, const struct head *head);
/* Has it been refused already (then the body need not be read)? */
bool web_refused(const struct exchange *x);
/* A piece of the body. */
void web_body(struct exchange *x, str bytes);
/* The request is complete: runs the handler. The response lives until web_end(). */
const struct response *web_finish(struct exchange *x);
void web_end(struct exchange **x);

/* Counters for /metrics. */
struct web_figures {
    int64_t requests[6]; /* by status class: [2] is 2xx … */
    int64_t active;
    int64_t micros;          /* spent answering */
};
struct web_figures web_figures(const struct web *w);

/* For verification: opens every public page as a stranger without cookies would, and holds the cookies
 * that come against those that are declared (spec COO-02, COO-03). */
struct check;
CHECKED enum err web_check_cookies(struct web *w, struct check *c);

#endif
