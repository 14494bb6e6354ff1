/* Forms with files: plain fields into the form, a file's bytes sealed as they come. */
#include "web/internal.h"

#include <string.h>

static enum err begin_part(void *arg, str name, str file, bool is_file)
{
    struct exchange *x = arg;
    struct request *req = &x->req;
    struct upload *u = req->upload;
    u->in_file = u->skip = false;
    if (str_is(name, "csrf") && !is_file) {
        u->name = name;
        u->value = buf_new(req->arena, 200);
        return OK;
    }
    int i = form_index(req->form.form, name);
    if (i < 0)
        return FAIL(req->fault, ERR_INPUT, "the form has no field %.*s", STR_FMT(str_head(name, 40)));
    if ((req->form.form->fields[i].type == FIELD_FILE) != is_file)
        return FAIL(req->fault, ERR_INPUT, "the field %s is of another kind", req->form.form->fields[i].name);
    u->name = name;
    u->value = buf_new(req->arena, 64 * 1024);
    if (!is_file)
        return OK;
    if (file.n == 0) { /* a file field left empty */
        u->skip = true;
        return OK;
    }
    if (u->writer != NULL || u->kept)
        return FAIL(req->fault, ERR_INPUT, "one file at a time");
    struct key *k = ARENA_NEW(req->arena, struct key);
    TRY(request_key(req, k));
    u->in_file = true;
    u->field = i;
    u->file = id_new();
    TRY(form_take(&req->form, req->arena, name, file, req->fault));
    enum err e = sealed_create(request_privacy(req)->files, u->file, k, req->arena, &u->writer,
                               req->fault);
    key_wipe(k);
    return e;
}

static enum err part_data(void *arg, str bytes)
{
    struct exchange *x = arg;
    struct upload *u = x->req.upload;
    if (u->skip)
        return OK;
    if (!u->in_file) {
        buf_put(&u->value, bytes);
        return u->value.over ? FAIL(x->req.fault, ERR_LIMIT, "a field is too long") : OK;
    }
    int64_t max = x->req.form.form->fields[u->field].max_file;
    if (sealed_written(u->writer) + (int64_t)bytes.n > max)
        return FAIL(x->req.fault, ERR_LIMIT, "the file is larger than %lld bytes", (long long)max);
    return sealed_write(u->writer, bytes);
}

static enum err end_part(void *arg)
{
    struct exchange *x = arg;
    struct upload *u = x->req.upload;
    if (u->skip)
        return OK;
    if (u->in_file) {
        u->in_file = false;
        TRY(sealed_keep(&u->writer));
        u->kept = true;
        return OK;
    }
    if (str_is(u->name, "csrf")) {
        x->csrf = buf_str(&u->value);
        return OK;
    }
    return form_take(&x->req.form, x->req.arena, u->name, buf_str(&u->value), x->req.fault);
}

static const struct multipart_ops ops = {begin_part, part_data, end_part};

enum err upload_start(struct exchange *x, str content_type)
{
    x->req.upload = ARENA_NEW(x->arena, struct upload);
    x->req.form.submitted = true;
    return multipart_new(x->arena, content_type, &ops, x, &x->multipart, x->req.fault);
}

enum err upload_finish(struct exchange *x)
{
    return multipart_finish(x->multipart);
}

/* What no handler adopted goes again. */
void upload_done(struct request *req)
{
    struct upload *u = req->upload;
    if (u == NULL)
        return;
    sealed_discard(&u->writer);
    if (u->kept)
        (void)(files_remove(request_privacy(req)->files, u->file, NULL) == OK);
}
