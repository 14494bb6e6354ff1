/*
 * The agent's own parts: what it says of the machine, and above all what lock and wipe may touch. Its way through
 * the portal is in tests/api/test_agent.py.
 */
#include "client/agent/agent.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char base[64], sandbox[96], state_folder[96], outside[96], home[96];

static void make(const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

static const char *below(const char *folder, const char *name)
{
    static char out[8][256];
    static int turn;
    char *to = out[turn++ & 7];
    snprintf(to, 256, "%s/%s", folder, name);
    return to;
}

static bool is_there(const char *path)
{
    struct stat s;
    return lstat(path, &s) == 0;
}

static int up(void **state)
{
    (void)state;
    strcpy(base, "/tmp/troth-agent-XXXXXX");
    assert_non_null(mkdtemp(base));
    snprintf(sandbox, sizeof sandbox, "%s/sandbox", base);
    snprintf(state_folder, sizeof state_folder, "%s/keeps/state", base);
    snprintf(home, sizeof home, "%s/house/anna", base);
    snprintf(outside, sizeof outside, "%s/outside", base);
    assert_int_equal(mkdir(below(base, "keeps"), 0700) | mkdir(below(base, "house"), 0700) | mkdir(home, 0700), 0);
    assert_int_equal(mkdir(sandbox, 0750) | mkdir(state_folder, 0700) | mkdir(outside, 0700), 0);
    assert_int_equal(mkdir(below(sandbox, "deep"), 0700) | mkdir(below(sandbox, "deep/er"), 0500), 0);
    make(below(sandbox, "a"));
    make(below(outside, "mine"));
    assert_int_equal(symlink(outside, below(sandbox, "link")), 0);
    assert_int_equal(symlink("nowhere", below(sandbox, "deep/broken")), 0);
    setenv("HOME", home, 1);
    return 0;
}

static int down(void **state)
{
    (void)state;
    char command[128];
    (void)sandbox_unlock(sandbox, state_folder);
    snprintf(command, sizeof command, "rm -rf %s", base);
    return system(command);
}

static int entries(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* Fails if wipe leaves something in its folder, takes the folder itself, or follows a link out of it. */
static void atw_02_wipe_empties_its_folder_and_nothing_else(void **state)
{
    (void)state;
    struct stat s;
    assert_null(sandbox_wipe(sandbox, state_folder));
    assert_int_equal(entries(sandbox), 0);
    assert_int_equal(stat(sandbox, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0750);
    assert_true(is_there(below(outside, "mine")) && is_there(state_folder));
    assert_null(sandbox_wipe(sandbox, state_folder)); /* an empty one, too */
}

/* Fails if lock does not close its folder, hides the note in it, or a locked one cannot be wiped or opened again. */
static void atw_02_lock_and_unlock(void **state)
{
    (void)state;
    char note[128], text[40] = "";
    struct stat s;
    snprintf(note, sizeof note, "%s.note", sandbox);
    assert_null(sandbox_lock(sandbox, state_folder, "Found me? Call home."));
    assert_int_equal(stat(sandbox, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0);
    FILE *f = fopen(note, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_string_equal(text, "Found me? Call home.\n");
    assert_null(sandbox_wipe(sandbox, state_folder));
    assert_int_equal(stat(sandbox, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0); /* locked as before */
    assert_null(sandbox_unlock(sandbox, state_folder));
    assert_int_equal(entries(sandbox), 0);
    assert_false(is_there(note));
    /* A note goes into no file that another has put there as a link. */
    assert_int_equal(symlink(below(outside, "mine"), note), 0);
    assert_string_equal(sandbox_lock(sandbox, state_folder, "x"), "note-not-written");
    assert_int_equal(stat(below(outside, "mine"), &s), 0);
    assert_int_equal(s.st_size, 0);
}

/* Fails if lock or wipe may be pointed at a home, the agent's own files, a link, or nothing. (Not tried with the root,
 * nor with any folder that is not this test's: one that fails here wipes.) */
static void atw_02_what_may_be_no_sandbox(void **state)
{
    (void)state;
    char link[128];
    snprintf(link, sizeof link, "%s/to-outside", base);
    assert_int_equal(symlink(outside, link), 0);
    const struct {
        const char *folder, *why;
    } cases[] = {
        {"", "no-sandbox"},
        {below(base, "missing"), "no-sandbox"},
        {below(sandbox, "a"), "no-sandbox"},
        {link, "no-sandbox"},
        {home, "sandbox-refused"},
        {below(base, "house"), "sandbox-refused"},
        {state_folder, "sandbox-refused"},
        {below(base, "keeps"), "sandbox-refused"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *why = sandbox_wipe(cases[i].folder, state_folder);
        if (!why)
            fail_msg("%s was wiped", cases[i].folder);
        assert_string_equal(why, cases[i].why);
        assert_string_equal(sandbox_lock(cases[i].folder, state_folder, "x"), cases[i].why);
    }
    assert_true(is_there(below(outside, "mine")) && is_there(below(sandbox, "a")));
    setenv("HOME", below(base, "no-home"), 1); /* what cannot be told is taken for the home */
    assert_string_equal(sandbox_wipe(sandbox, state_folder), "sandbox-refused");
}

/* Fails if the machine is taken for another kind, or its system's name is read with its quotes. */
static void wpf_20_facts(void **state)
{
    (void)state;
    static const struct {
        int chassis;
        const char *is;
    } kinds[] = {{0, "other"}, {3, "desktop"}, {9, "laptop"}, {10, "laptop"}, {17, "server"}, {30, "tablet"}, {99, "other"}, {-1, "other"}};
    for (size_t i = 0; i < COUNT(kinds); i++)
        assert_string_equal(facts_chassis(kinds[i].chassis), kinds[i].is);
    static const char release[] = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\nEMPTY=\nPLAIN=x";
    char out[20];
    assert_true(facts_release(release, "NAME", out, sizeof out));
    assert_string_equal(out, "Debian GNU/Linux");
    assert_true(facts_release(release, "VERSION_ID", out, sizeof out));
    assert_string_equal(out, "12");
    assert_true(facts_release(release, "PLAIN", out, sizeof out));
    assert_string_equal(out, "x");
    assert_false(facts_release(release, "EMPTY", out, sizeof out));
    assert_false(facts_release(release, "PRETTY_NAME", out, 10));
    assert_false(facts_release("", "NAME", out, sizeof out));
    struct facts f;
    facts_read(&f);
    assert_true(*f.network_name && *f.os_type && *f.os_version);
}

/* Fails if what the app keeps of itself is not read back, or stays after the end. */
static void its_own_state(void **state)
{
    (void)state;
    struct own o = {.protection = true, .databases = 1000, .error = "code-unknown"}, got;
    char text[100];
    assert_true(own_write(state_folder, &o) && own_read(state_folder, &got));
    assert_true(got.protection && got.databases == 1000);
    assert_string_equal(got.error, "code-unknown");
    own_information(&got, 1000 + 86400, text);
    assert_string_equal(text, "{\"protection\": \"on\", \"databases\": \"current\"}");
    own_information(&got, 1000 + 8 * 86400, text);
    assert_string_equal(text, "{\"protection\": \"on\", \"databases\": \"outdated\"}");
    make(below(state_folder, "agent.log"));
    own_forget(state_folder);
    assert_int_equal(entries(state_folder), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)
    const struct CMUnitTest tests[] = {
        TEST(atw_02_wipe_empties_its_folder_and_nothing_else),
        TEST(atw_02_lock_and_unlock),
        TEST(atw_02_what_may_be_no_sandbox),
        TEST(wpf_20_facts),
        TEST(its_own_state),
    };
    return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
