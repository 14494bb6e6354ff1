/* What was asked for, and where things lie. */
#include "client/agent/agent.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "troth-agent: connects this computer with a Troth portal.\n"
    "\n"
    "  troth-agent connect URL        shows the statement, asks, and connects; in one of these ways:\n"
    "      --code CODE                the password that the portal shows under \"add a device\"\n"
    "      --device-code              shows a code to type in at the portal, on another device (the default)\n"
    "      --sign-in EMAIL            asks for the password, and for a second step where there is one\n"
    "      --register EMAIL           makes an account; with --region SE, and --offers to get offers by mail\n"
    "      --accept VERSION           accepts that version of the statement without asking: for scripts\n"
    "      --for-all                  everybody who uses this computer has understood and accepted, too\n"
    "  troth-agent run [--once]       reports, and does what the portal's commands say, until it is ended\n"
    "  troth-agent status             what this computer tells, and what the portal told it\n"
    "  troth-agent activate CODE      adds an activation code\n"
    "  troth-agent license            fetches the license file, and checks it\n"
    "  troth-agent accept             shows a statement that has changed, and asks; or --accept VERSION\n"
    "  troth-agent set WHAT=VALUE     protection=on|off, databases=current|outdated\n"
    "  troth-agent unlock             opens the sandbox again\n"
    "  troth-agent disconnect         withdraws the choice to take part\n"
    "\n"
    "  --state FOLDER                 where it keeps what it knows ($XDG_STATE_HOME/troth-agent)\n"
    "  --config FILE                  its configuration ($XDG_CONFIG_HOME/troth-agent/config.json)\n"
    "  --sandbox FOLDER               the one folder that the commands lock and wipe may touch\n"
    "  --ca FILE                      certificates to trust instead of the system's\n"
    "  --locale LANGUAGE              en, sv …\n"
    "\n"
    "Ends with 0: done. 1: refused. 2: called wrongly. 3: no network, or the portal asks to wait.\n";

enum { CODE = 1, DEVICE_CODE, SIGN_IN, REGISTER, REGION, OFFERS, ACCEPT, FOR_ALL, ONCE, STATE, CONFIG, SANDBOX, CA, LOCALE };

static const struct option names[] = {
    {"code", required_argument, NULL, CODE},       {"device-code", no_argument, NULL, DEVICE_CODE},
    {"sign-in", required_argument, NULL, SIGN_IN}, {"register", required_argument, NULL, REGISTER},
    {"region", required_argument, NULL, REGION},   {"offers", no_argument, NULL, OFFERS},
    {"accept", required_argument, NULL, ACCEPT},   {"for-all", no_argument, NULL, FOR_ALL},
    {"once", no_argument, NULL, ONCE},             {"state", required_argument, NULL, STATE},
    {"config", required_argument, NULL, CONFIG},   {"sandbox", required_argument, NULL, SANDBOX},
    {"ca", required_argument, NULL, CA},           {"locale", required_argument, NULL, LOCALE},
    {"help", no_argument, NULL, 'h'},              {"version", no_argument, NULL, 'v'},
    {0},
};

/* Where the XDG base directories have it: NAME, or what it is by default below the home. */
static bool place(const char *variable, const char *below_home, const char *rest, char out[static PATH_MAX])
{
    const char *base = getenv(variable), *home = getenv("HOME");
    int n = base && *base == '/' ? snprintf(out, PATH_MAX, "%s/%s", base, rest)
            : home && *home      ? snprintf(out, PATH_MAX, "%s/%s/%s", home, below_home, rest)
                                 : -1;
    return n > 0 && n < PATH_MAX;
}

/* "sv_SE.UTF-8" is sv-SE here; "C" and nothing are en. */
static const char *language(char out[static 36])
{
    const char *said = getenv("LC_ALL") && *getenv("LC_ALL") ? getenv("LC_ALL") : getenv("LANG");
    size_t n = said ? strcspn(said, ".@") : 0;
    if (n < 2 || n > 35 || strncmp(said, "C", n) == 0 || strncmp(said, "POSIX", n) == 0)
        return "en";
    for (size_t i = 0; i < n; i++)
        out[i] = said[i] == '_' ? '-' : said[i];
    out[n] = 0;
    return out;
}

static bool copy(char *out, size_t max, const char *text)
{
    return snprintf(out, max, "%s", text) < (int)max;
}

/* {"sandbox": "/path", "position": {"latitude": 59.33, "longitude": 18.07, "accuracy": 25}} */
static bool read_config(const char *path, bool must_be, struct options *o)
{
    json_error_t wrong;
    json_t *j = json_load_file(path, JSON_REJECT_DUPLICATES, &wrong);
    if (!j && !must_be && json_error_code(&wrong) == json_error_cannot_open_file)
        return true;
    if (!json_is_object(j)) {
        complain("%s: %s", path, *wrong.text ? wrong.text : "no JSON object");
        json_decref(j);
        return false;
    }
    const char *sandbox = json_string_value(json_object_get(j, "sandbox"));
    bool fine = !sandbox || *o->sandbox || copy(o->sandbox, sizeof o->sandbox, sandbox);
    json_t *at = json_object_get(j, "position");
    o->has_position = at != NULL;
    if (at && json_unpack(at, "{s:F, s:F, s:F}", "latitude", &o->latitude, "longitude", &o->longitude, "accuracy",
                          &o->accuracy) != 0)
        fine = false;
    if (!fine)
        complain("%s: sandbox is a path, and position has latitude, longitude and accuracy", path);
    json_decref(j);
    return fine;
}

static bool take(int option, struct options *o, const char **config)
{
    switch (option) {
    case CODE:
        o->code = optarg;
        return true;
    case DEVICE_CODE:
        return o->device_code = true;
    case REGISTER:
        o->registers = true;
        o->email = optarg;
        return true;
    case SIGN_IN:
        o->email = optarg;
        return true;
    case REGION:
        o->region = optarg;
        return true;
    case OFFERS:
        return o->offers = true;
    case ACCEPT:
        o->accept = optarg;
        return true;
    case FOR_ALL:
        return o->for_all = true;
    case ONCE:
        return o->once = true;
    case STATE:
        return copy(o->folder, sizeof o->folder, optarg);
    case CONFIG:
        *config = optarg;
        return true;
    case SANDBOX:
        return copy(o->sandbox, sizeof o->sandbox, optarg);
    case CA:
        o->ca = optarg;
        return true;
    case LOCALE:
        o->locale = optarg;
        return true;
    default:
        return false;
    }
}

/* connect, activate and set have a word behind them, the others none. */
static bool words_fit(const struct options *o, int more)
{
    static const struct {
        const char *name;
        bool word;
    } commands[] = {{"connect", true}, {"run", false},    {"status", false}, {"activate", true},   {"license", false},
                    {"accept", false}, {"unlock", false}, {"set", true},     {"disconnect", false}};
    for (size_t i = 0; o->command && i < COUNT(commands); i++)
        if (strcmp(o->command, commands[i].name) == 0)
            return !more && commands[i].word == (o->word != NULL);
    return false;
}

static bool one_way(const struct options *o)
{
    return (o->code != NULL) + o->device_code + (o->email != NULL) <= 1;
}

static bool find_places(struct options *o, const char *config)
{
    char path[PATH_MAX];
    if (!*o->folder && !place("XDG_STATE_HOME", ".local/state", "troth-agent", o->folder)) {
        complain("neither --state nor a home");
        return false;
    }
    if (config)
        return read_config(config, true, o);
    return !place("XDG_CONFIG_HOME", ".config", "troth-agent/config.json", path) || read_config(path, false, o);
}

enum exit_code options_read(int argc, char **argv, struct options *out, bool *over)
{
    const char *config = NULL;
    *out = (struct options){0};
    *over = false;
    for (int c; (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
        if (c == 'h' || c == 'v') {
            say("%s", c == 'h' ? help : "troth-agent " AGENT_VERSION "\n");
            *over = true;
            return EXIT_FINE;
        }
        if (!take(c, out, &config)) {
            complain("see troth-agent --help");
            return EXIT_USAGE;
        }
    }
    out->command = optind < argc ? argv[optind] : NULL;
    out->word = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (!words_fit(out, argc > optind + 2) || !one_way(out)) {
        complain("see troth-agent --help");
        return EXIT_USAGE;
    }
    if (!out->locale)
        out->locale = language(out->language);
    return find_places(out, config) ? EXIT_FINE : EXIT_USAGE;
}
