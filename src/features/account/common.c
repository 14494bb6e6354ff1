/*
 * Passwords that many have: words of a dictionary and of lists that guessers use, with capitals, with digits
 * and signs around them ("Sommar2026!"), with 0 for o and $ for s. zxcvbn knows many of these in
 * English; here are Swedish ones, too, and whatever it thinks of them.
 */
#include "features/account/common.h"
#include "features/account/password.h"

#include "text/fold.h"

enum { SHORTEST = 4, MOST_BEFORE = 4, MOST_AFTER = 6 };

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* Signs that people write for letters; as the tool does it. */
static char plain(char c)
{
    static const char signs[] = "0134578@$!", letters[] = "oieastbasi";
    for (size_t i = 0; signs[i]; i++)
        if (c == signs[i])
            return letters[i];
    return c;
}

static uint32_t hash_of(str s)
{
    uint32_t h = 0x811c9dc5; /* FNV-1a */
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)plain(s.p[i])) * 0x01000193;
    return h;
}

static bool is_listed(str word)
{
    uint32_t h = hash_of(word);
    size_t from = 0, to = common_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (common_hashes[middle] < h)
            from = middle + 1;
        else
            to = middle;
    }
    return word.n >= SHORTEST && from < common_count && common_hashes[from] == h;
}

bool password_is_common(struct arena *a, struct secret password)
{
    str whole = text_fold(a, password.bytes), word = whole;
    size_t before = 0, after = 0;
    while (word.n > 0 && before < MOST_BEFORE && !is_letter(word.p[0])) {
        word = str_skip(word, 1);
        before++;
    }
    bool found = is_listed(whole) || is_listed(word);
    /* Signs at the end may be letters ("pa$$") or not ("pass!"): each length is tried. */
    while (!found && word.n > 0 && after < MOST_AFTER && !is_letter(word.p[word.n - 1])) {
        word = str_head(word, word.n - 1);
        after++;
        found = is_listed(word);
    }
    return found;
}
