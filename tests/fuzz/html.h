/*
 * A second opinion on where in a page something stands: a tokenizer written from WHATWG HTML
 * §13.2.5 alone, which knows nothing of src/text/place.c.
 */
#ifndef FUZZ_HTML_H
#define FUZZ_HTML_H

#include "base/str.h"

/*
 * Does every occurrence of `mark` in the page stand where escaping makes it safe: in text (also of
 * <title> and <textarea>), or in a double-quoted attribute that is no program? *at is the first
 * that does not.
 */
bool html_marks_safe(str page, str mark, size_t *at);

#endif
