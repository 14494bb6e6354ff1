/* Report Parser: what can be joined is declared in records.yaml; features/services does the rest. */
#include "features/feature.h"

extern const struct feature feature_report_parser;

const struct feature feature_report_parser = {.name = "report_parser"};
