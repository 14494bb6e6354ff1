/*
 * What installed apps send: JSON, read and held against the declared protocol.
 *
 * Input: a byte that chooses the operation, then the message. What must hold: no message is both unread and
 * checked; what passes has no more members than its schema, and passes again when it is put out and read once
 * more; and nothing is told of a field without a name of ours or the message's.
 */
#include "fuzz.h"

#include "features/connect/document.h"
#include "web/message.h"

#include "base/file.h"

static struct document *document;

static void count(void *arg, str name, const char *why)
{
    int *n = arg;
    MUST(name.n <= 400 && str_starts(str_from(why), STR("problem.field-")));
    ++*n;
}

static void begin(void)
{
    static struct arena *kept;
    struct fault f = {0};
    str text;
    kept = arena_new(FUZZ_ARENA);
    const char *source = getenv("TROTH_SOURCE");
    const char *path = str_fmt(kept, "%s/src/features/connect/openapi.yaml", source ? source : ".").p;
    MUST(file_read(kept, path, 1 << 20, &text, &f) == OK);
    MUST(document_read(kept, text, &document, &f) == OK);
}

static const struct operation *chosen(uint8_t by)
{
    size_t n = 0;
    for (size_t i = 0; i < document->n_operations; i++)
        n += document->operations[i].message != NULL;
    by = (uint8_t)(by % n);
    for (size_t i = 0; i < document->n_operations; i++)
        if (document->operations[i].message && by-- == 0)
            return &document->operations[i];
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (document == NULL)
        begin();
    if (n == 0 || n > 16384)
        return 0;
    struct arena *a = arena_new(FUZZ_ARENA);
    struct fault f = {0};
    CLEANUP(json_done) json_t *j = NULL, *again = NULL;
    const struct operation *o = chosen(data[0]);
    if (message_read(str_of(data + 1, n - 1), &j, &f) == OK) {
        int wrong = 0, wrong_again = 0;
        MUST(json_is_object(j));
        shape_check(o->message, a, (str){NULL, 0}, j, count, &wrong);
        str text = json_encode(a, j, false);
        if (wrong == 0) {
            MUST(message_read(text, &again, &f) == OK);
            shape_check(o->message, a, (str){NULL, 0}, again, count, &wrong_again);
            MUST(wrong_again == 0);
        }
    }
    arena_free(&a);
    return 0;
}
