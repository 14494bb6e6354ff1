#include "privacy/inventory.h"

#include <string.h>

/*
 * Everything a field may be. What identifies or contacts a person is sealed, without exception;
 * what only the program needs (proofs of secrets, credentials) is not shown in exports.
 */
static const struct category categories[] = {
    {"name", .sealed = true},
    {"company-name", .sealed = true}, /* a sole trader's is a person's */
    {"email-address", .sealed = true},
    {"phone-number", .sealed = true},
    {"postal-address", .sealed = true},
    {"ip-address", .sealed = true},
    {"device-name", .sealed = true},
    {"browser", .sealed = true},
    {"location", .sealed = true},
    {"free-text", .sealed = true},
    {"message-content", .sealed = true},
    {"file-content", .sealed = true},
    {"payment-card", .sealed = true},
    {"credential", .sealed = true, .secret = true},
    {"proof", .secret = true},
    {"pseudonym"},
    {"language"},
    {"time-zone"},
    {"country"},
    {"lifecycle"},
    {"choice"},
    {"consent-evidence"},
    {"operating-system"},
    {"license"},
    {"order"},
    {"count"},
    {"reference"},
    {"published-text"},
};

const struct category *category_named(str name)
{
    for (size_t i = 0; i < COUNT(categories); i++)
        if (str_is(name, categories[i].name))
            return &categories[i];
    return NULL;
}
