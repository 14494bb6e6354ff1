#include "base/yaml.h"

#include <yaml.h>

#include "base/codec.h"

enum { MAX_DEPTH = 16, MAX_NODES = 20000 };

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    struct fault *fault;
    size_t nodes;
};

static int line_of(yaml_mark_t mark)
{
    return (int)mark.line + 1;
}

static enum err next_event(struct reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event))
        return OK;
    return FAIL(r->fault, ERR_INPUT, "%d: %s", line_of(r->parser.problem_mark),
                r->parser.problem ? r->parser.problem : "cannot be read");
}

static enum err read_node(struct reader *r, yaml_event_t *event, int depth, struct yaml **out);

static enum err read_children(struct reader *r, struct yaml *parent, int depth)
{
    struct yaml **tail = &parent->first;
    for (;;) {
        yaml_event_t event;
        TRY(next_event(r, &event));
        if (event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return OK;
        }
        struct yaml *child;
        str key = {NULL, 0};
        if (parent->kind == YAML_MAP) {
            struct yaml *name;
            enum err e = read_node(r, &event, depth, &name);
            yaml_event_delete(&event);
            TRY(e);
            if (name->kind != YAML_SCALAR || name->text.n == 0)
                return FAIL(r->fault, ERR_INPUT, "%d: a key must be a word", name->line);
            key = name->text;
            YAML_EACH(other, parent)
            {
                if (str_eq(other->key, key))
                    return FAIL(r->fault, ERR_INPUT, "%d: %.*s stands twice (also line %d)",
                                name->line, STR_FMT(key), other->line);
            }
            TRY(next_event(r, &event));
        }
        enum err e = read_node(r, &event, depth, &child);
        yaml_event_delete(&event);
        TRY(e);
        child->key = key;
        *tail = child;
        tail = &child->next;
        parent->count++;
    }
}

static enum err read_node(struct reader *r, yaml_event_t *event, int depth, struct yaml **out)
{
    int line = line_of(event->start_mark);
    if (depth > MAX_DEPTH || ++r->nodes > MAX_NODES)
        return FAIL(r->fault, ERR_INPUT, "%d: too deep or too large", line);
    struct yaml *node = ARENA_NEW(r->arena, struct yaml);
    node->line = line;
    const yaml_char_t *tag = NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        node->kind = YAML_SCALAR;
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        node->text = str_dup(r->arena,
                             str_of(event->data.scalar.value, event->data.scalar.length));
        tag = event->data.scalar.tag;
        if (str_has(node->text, '\0') || !utf8_valid(node->text))
            return FAIL(r->fault, ERR_INPUT, "%d: not text", line);
        break;
    case YAML_MAPPING_START_EVENT:
        node->kind = YAML_MAP;
        tag = event->data.mapping_start.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        node->kind = YAML_LIST;
        tag = event->data.sequence_start.tag;
        break;
    default:
        return FAIL(r->fault, ERR_INPUT, "%d: aliases are not taken", line);
    }
    if (tag != NULL)
        return FAIL(r->fault, ERR_INPUT, "%d: tags are not taken", line);
    *out = node;
    return node->kind == YAML_SCALAR ? OK : read_children(r, node, depth + 1);
}

static enum err read_document(struct reader *r, struct yaml **out)
{
    *out = ARENA_NEW(r->arena, struct yaml);
    (*out)->kind = YAML_MAP;
    (*out)->line = 1;
    bool seen = false;
    for (;;) {
        yaml_event_t event;
        TRY(next_event(r, &event));
        enum err e = OK;
        yaml_event_type_t type = event.type;
        switch (type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
        case YAML_STREAM_END_EVENT:
            break;
        default:
            if (seen)
                e = FAIL(r->fault, ERR_INPUT, "%d: a second document",
                         line_of(event.start_mark));
            else
                e = read_node(r, &event, 0, out);
            seen = true;
        }
        yaml_event_delete(&event);
        TRY(e);
        if (type == YAML_STREAM_END_EVENT)
            return OK;
    }
}

enum err yaml_parse(struct arena *a, str text, struct yaml **out, struct fault *f)
{
    struct reader r = {.arena = a, .fault = f};
    if (!yaml_parser_initialize(&r.parser))
        return FAIL(f, ERR_IO, "no memory for the YAML parser");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    enum err e = read_document(&r, out);
    yaml_parser_delete(&r.parser);
    return e;
}

const struct yaml *yaml_get(const struct yaml *map, const char *key)
{
    YAML_EACH(child, map)
    {
        if (str_is(child->key, key))
            return child;
    }
    return NULL;
}

str yaml_text(const struct yaml *map, const char *key)
{
    const struct yaml *child = yaml_get(map, key);
    return child ? child->text : (str){NULL, 0};
}
