/* Cloud Console: what can be joined is declared in records.yaml; features/services does the rest. */
#include "features/feature.h"

extern const struct feature feature_cloud_console;

const struct feature feature_cloud_console = {.name = "cloud_console"};
