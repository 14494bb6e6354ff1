/*
 * Translations: what the program says, in every language, by key.
 *
 * Texts come from .po files that msgfmt has checked and compiled to .mo; the small reader here needs
 * no locale of the system. Keys ("account.sign-in.title") stand for texts in every language alike:
 * none came first. A text may hold
 *     {name}            a value of the view, escaped by place like any other
 *     {name|date}       a value, formatted (see format.h)
 *     [[label|/path]]   a link; or [[label|{url}]], to a value of the view
 * Where a text has plural forms, the value {count} chooses.
 *
 * A catalog is made once, then read by all threads.
 */
#ifndef TEXT_I18N_H
#define TEXT_I18N_H

#include "base/json.h"
#include "base/str.h"
#include "text/format.h"

enum { I18N_MAX_LANGUAGES = 8, I18N_MAX_PLURALS = 6 };

struct catalog;

/* A piece of a text, made ready for rendering. */
enum piece_kind { PIECE_TEXT, PIECE_VALUE, PIECE_LINK };
struct piece {
    enum piece_kind kind;
    str text;        /* PIECE_TEXT: the words; PIECE_LINK: the label */
    str name;        /* PIECE_VALUE: which value; PIECE_LINK: the value that is the URL, if any */
    str url;         /* PIECE_LINK: the path, where it is no value */
    enum format format;
};
struct message {
    struct piece *pieces;
    size_t n;
};

/* An empty catalog for these languages (ISO 639 codes); the first is the fallback for visitors
 * whose browser asks for none of them. */
struct catalog *catalog_new(struct arena *a, const char *const *languages, size_t n);

/* Adds the texts of one language from the bytes of a .mo file, which must outlive the catalog.
 * Keys may come from many files; one that is there already is replaced if `over` is set and an
 * error otherwise. ERR_INPUT: damaged, or a text whose pieces cannot be read, by key. */
CHECKED enum err catalog_add(struct catalog *c, const char *language, str mo, bool over,
                             struct fault *f);
/* To be called when all have been added. ERR_CONFLICT names a key that a language lacks. */
CHECKED enum err catalog_complete(struct catalog *c, struct fault *f);

size_t catalog_languages(const struct catalog *c);
const char *catalog_language(const struct catalog *c, int language); /* its code */
int catalog_find_language(const struct catalog *c, str code);        /* -1 if there is none */
/* The best for an Accept-Language header (RFC 9110 §12.5.4); 0 where it says nothing of use. */
int catalog_negotiate(const struct catalog *c, str accept_language);

/* The number of a key, or -1. Numbers are stable once the catalog is complete. */
int catalog_key(const struct catalog *c, str key);
size_t catalog_size(const struct catalog *c);
str catalog_key_name(const struct catalog *c, int key);
/* The text for that language; `count` chooses among plural forms where there are some. */
const struct message *catalog_message(const struct catalog *c, int language, int key,
                                      int64_t count);
bool catalog_has_plural(const struct catalog *c, int key);

/* The text as plain words, values filled in from `values` (may be NULL): for mails' subjects,
 * commands, problem details. An unknown key or value is a bug: in its place stands the key. */
str catalog_text(const struct catalog *c, const struct locale *l, struct arena *a, const char *key,
                 const json_t *values);

/* Marks a key in C code, so that the checker finds it. */
#define MSG(key) key

#endif
