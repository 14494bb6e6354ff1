/* Passwords: the hash's own vectors, the child that hashes, those that many have. */
#include "features/account/hasher.h"
#include "features/account/password.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct arena *a;
static struct fault fault;

static int up(void **state)
{
    (void)state;
    a = arena_new(64 << 20);
    fault_clear(&fault);
    return sodium_init() < 0;
}

static int down(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

static bool verify(struct hasher *h, const char *password, const char *kept)
{
    return password_verify(h, (struct secret){str_from(password)}, str_from(kept));
}

/* MYA-05. The reference implementation's own (phc-winner-argon2, src/test.c, Argon2id of version 0x13). Fails if
 * another function than Argon2id, or another password or salt, would do. */
static void mya_05_argon2id_is_argon2id(void **state)
{
    static const struct {
        const char *password, *kept;
    } vectors[] = {
        {"password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
        {"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
        {"password", "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg"},
        {"password", "$argon2id$v=19$m=65536,t=4,p=1$c29tZXNhbHQ$kCXUjmjvc5XMqQedpMTsOv+zyJEf5PhtGiUghW9jFyw"},
        {"differentpassword", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94"},
        {"password", "$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw"},
    };
    struct hasher *h;
    (void)state;
    assert_int_equal(hasher_new(&h, 8 << 20, 1, 1, &fault), OK);
    for (size_t i = 0; i < COUNT(vectors); i++) {
        if (!verify(h, vectors[i].password, vectors[i].kept))
            fail_msg("%s", vectors[i].kept);
        assert_false(verify(h, "passwore", vectors[i].kept));
        assert_true(password_is_dated(h, str_from(vectors[i].kept)));
    }
    assert_false(verify(h, "password", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"));
    assert_false(verify(h, "", ""));
    hasher_free(&h);
}

/* ---- the child ---- */

static struct hasher *shared;
static const char *kept;

static void *sign_in_often(void *arg)
{
    long *wrong = arg;
    for (int i = 0; i < 20; i++) {
        *wrong += !verify(shared, "four unlikely badgers dance", kept);
        *wrong += verify(shared, "four unlikely badgers dunce", kept);
    }
    return NULL;
}

static long child_of(pid_t pid)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return strtol(text, NULL, 10);
}

/* Fails if answers are mixed up between those who wait, or a child that is killed takes sign-ins with it. */
static void the_child_serves_many_and_may_die(void **state)
{
    enum { MANY = 12 };
    pthread_t threads[MANY];
    long wrong[MANY] = {0};
    struct secret password = {STR("four unlikely badgers dance")};
    str hash;
    (void)state;
    assert_int_equal(child_of(getpid()), 0);
    assert_int_equal(hasher_new(&shared, 8 << 20, 1, 2, &fault), OK);
    assert_int_equal(password_hash(shared, password, a, &hash, &fault), OK);
    kept = str_cstr(a, hash); /* once: the arena is nobody's but this thread's */
    long child = child_of(getpid());
    assert_true(child > 1);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_in_often, &wrong[i]), 0);
    usleep(50000);
    assert_int_equal(kill((pid_t)child, SIGKILL), 0);
    for (int i = 0; i < MANY; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
    assert_true(verify(shared, "four unlikely badgers dance", kept)); /* here, now */
    hasher_free(&shared);
    assert_int_equal(child_of(getpid()), 0);
}

/* Fails if the child outlives whoever asked for it. */
static void the_child_ends_with_its_parent(void **state)
{
    struct hasher *h;
    (void)state;
    assert_int_equal(hasher_new(&h, 8 << 20, 1, 1, &fault), OK);
    pid_t child = (pid_t)child_of(getpid());
    assert_int_equal(kill(child, SIGTERM), 0); /* as whoever stops a whole group does: it waits for its parent */
    assert_true(verify(h, "password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"));
    assert_int_equal(kill(child, 0), 0);
    hasher_free(&h);
    assert_int_equal(kill(child, 0), -1);
}

/* ---- what is too easy ---- */

/* MYA-05. Fails if a word with a few signs around it passes, or what is no word does not. */
static void mya_05_common_passwords(void **state)
{
    static const char *const common[] = {"password", "Password1", "p4ssw0rd!", "Sommar2026!", "SOMMAR", "hejsan123", "!!elephant!!",
                                         "qwerty", "123456", "12345678", "pa$$word", "fotboll", "1987sunshine", "Smörgås1", "ÖVERRASKNING"};
    static const char *const others[] = {"four unlikely badgers dance", "Xk9#pL2$vQ", "sunshine-elephant", "grön stol", "zq7", "", "sommar20262026x"};
    (void)state;
    for (size_t i = 0; i < COUNT(common); i++)
        if (!password_is_common(a, (struct secret){str_from(common[i])}))
            fail_msg("%s passes", common[i]);
    for (size_t i = 0; i < COUNT(others); i++)
        if (password_is_common(a, (struct secret){str_from(others[i])}))
            fail_msg("%s does not pass", others[i]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(mya_05_argon2id_is_argon2id),
        T(the_child_serves_many_and_may_die),
        T(the_child_ends_with_its_parent),
        T(mya_05_common_passwords),
    };
    return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
