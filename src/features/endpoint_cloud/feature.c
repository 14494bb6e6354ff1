/* Endpoint Cloud: what can be joined is declared in records.yaml; features/services does the rest. */
#include "features/feature.h"

extern const struct feature feature_endpoint_cloud;

const struct feature feature_endpoint_cloud = {.name = "endpoint_cloud"};
