#include "work/mail_build.h"

#include <gmime/gmime.h>

static GMimeObject *text_part(const char *subtype, str text)
{
    GMimeTextPart *part = g_mime_text_part_new_with_subtype(subtype);
    /* Not g_mime_text_part_set_text(): it chooses a charset by itself, and the HTML says UTF-8. */
    GMimeStream *s = g_mime_stream_mem_new_with_buffer(text.p ? text.p : "", text.n);
    GMimeDataWrapper *w = g_mime_data_wrapper_new_with_stream(s, GMIME_CONTENT_ENCODING_DEFAULT);
    g_mime_part_set_content(GMIME_PART(part), w);
    g_object_unref(w);
    g_object_unref(s);
    g_mime_text_part_set_charset(part, "utf-8");
    g_mime_part_set_content_encoding(GMIME_PART(part), GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE);
    return GMIME_OBJECT(part);
}

static void set_header(GMimeObject *o, struct arena *a, const char *name, str value)
{
    g_mime_object_set_header(o, name, str_cstr(a, value), "utf-8");
}

static str serialized(struct arena *a, GMimeMessage *m)
{
    GMimeFormatOptions *options = g_mime_format_options_new();
    g_mime_format_options_set_newline_format(options, GMIME_NEWLINE_FORMAT_DOS);
    GMimeStream *s = g_mime_stream_mem_new();
    g_mime_object_write_to_stream(GMIME_OBJECT(m), options, s);
    GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(s));
    str out = str_dup(a, str_of(bytes->data, bytes->len));
    g_object_unref(s);
    g_mime_format_options_free(options);
    return out;
}

str mail_build(struct arena *a, const struct mail_parts *p)
{
    str local, domain = STR("localhost");
    str_cut_last(p->from, '@', &local, &domain);
    GMimeMessage *m = g_mime_message_new(TRUE);
    GMimeObject *o = GMIME_OBJECT(m);
    g_mime_message_add_mailbox(m, GMIME_ADDRESS_TYPE_FROM, str_cstr(a, p->from_name),
                               str_cstr(a, p->from));
    g_mime_message_add_mailbox(m, GMIME_ADDRESS_TYPE_TO, NULL, str_cstr(a, p->to));
    g_mime_message_set_subject(m, str_cstr(a, p->subject), "utf-8");
    g_mime_message_set_message_id(m, str_fmt(a, "%.*s@%.*s", STR_FMT(p->id), STR_FMT(domain)).p);
    GDateTime *date = g_date_time_new_from_unix_utc(p->date / MOMENT_SECOND);
    g_mime_message_set_date(m, date);
    g_date_time_unref(date);
    set_header(o, a, "Auto-Submitted", STR("auto-generated"));
    set_header(o, a, "Content-Language", str_from(p->language));
    if (p->unsubscribe_url.n > 0) {
        set_header(o, a, "List-Unsubscribe", str_fmt(a, "<%.*s>", STR_FMT(p->unsubscribe_url)));
        set_header(o, a, "List-Unsubscribe-Post", STR("List-Unsubscribe=One-Click"));
    }
    GMimeMultipart *both = g_mime_multipart_new_with_subtype("alternative");
    GMimeObject *text = text_part("plain", p->text), *html = text_part("html", p->html);
    g_mime_multipart_add(both, text);
    g_mime_multipart_add(both, html);
    g_mime_message_set_mime_part(m, GMIME_OBJECT(both));
    g_object_unref(text);
    g_object_unref(html);
    g_object_unref(both);
    str out = serialized(a, m);
    g_object_unref(m);
    return out;
}
