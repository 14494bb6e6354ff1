/* Questions of one feature to whichever other can answer; neither includes the other. */
#include "features/feature.h"

enum err feature_standing(struct tx *tx, struct portal *p, id account, str peer,
                          struct standing *out)
{
    *out = (struct standing){0};
    for (size_t i = 0; i < n_features; i++)
        if (features[i]->standing)
            return features[i]->standing(tx, p, account, peer, out);
    return OK;
}

void feature_policy(struct request *req, str service)
{
    for (size_t i = 0; i < n_features; i++)
        if (features[i]->policy)
            features[i]->policy(req, service);
}

enum err feature_left(struct tx *tx, struct portal *p, id account)
{
    for (size_t i = 0; i < n_features; i++)
        if (features[i]->left)
            TRY(features[i]->left(tx, p, account));
    return OK;
}

enum err feature_second_factor(struct tx *tx, struct portal *p, id account, bool *on)
{
    *on = false;
    for (size_t i = 0; i < n_features; i++)
        if (features[i]->second_factor)
            return features[i]->second_factor(tx, p, account, on);
    return OK;
}

enum err feature_demo_factor(struct portal *p, id account, struct arena *a, str *how,
                             struct fault *f)
{
    *how = (str){NULL, 0};
    for (size_t i = 0; i < n_features; i++)
        if (features[i]->demo_factor)
            return features[i]->demo_factor(p, account, a, how, f);
    return OK;
}

static void tell_waiting(void *portal, id binding)
{
    struct portal *p = portal;
    if (p->waiting)
        p->waiting(p, binding);
}

void feature_waits(struct tx *tx, struct portal *p, id binding)
{
    tx_after(tx, tell_waiting, p, binding);
}
