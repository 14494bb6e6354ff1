/*
 * A back end that wraps another and lets the n-th call and all after it fail as if the database
 * had gone away. Every path that writes is run with n = 1, 2, 3 … until it succeeds: after each
 * failure, nothing of it may be there.
 */
#include "store/backend.h"

static bool fails(struct db *db)
{
    int64_t left = db->calls_to_fault;
    if (left == 0)
        return false;
    if (left > 1) {
        db->calls_to_fault--;
        return false;
    }
    return true;
}

#define GONE(f) FAIL((f), ERR_BUSY, "the database is away (a test says so)")

void db_make_faulty(struct db *db, int64_t n)
{
    if (db->inner == NULL) {
        db->inner = db->ops;
        db->ops = &faulty_backend;
    }
    db->calls_to_fault = n;
}

static void faulty_close(struct db *db)
{
    db->inner->close(db);
}

static enum err faulty_begin(struct tx *tx)
{
    return fails(tx->db) ? GONE(tx->fault) : tx->db->inner->begin(tx);
}

static enum err faulty_commit(struct tx *tx)
{
    if (!fails(tx->db))
        return tx->db->inner->commit(tx);
    tx->db->inner->rollback(tx);
    return GONE(tx->fault);
}

static void faulty_rollback(struct tx *tx)
{
    tx->db->inner->rollback(tx);
}

static enum err faulty_start(struct query *q)
{
    return fails(q->tx->db) ? GONE(q->tx->fault) : q->tx->db->inner->start(q);
}

static enum step faulty_step(struct query *q)
{
    return q->tx->db->inner->step(q);
}

static void faulty_finish(struct query *q)
{
    q->tx->db->inner->finish(q);
}

static enum err faulty_column(struct query *q, int column, struct param *out)
{
    return q->tx->db->inner->column(q, column, out);
}

static enum err faulty_ddl(struct tx *tx, str sql)
{
    return fails(tx->db) ? GONE(tx->fault) : tx->db->inner->ddl(tx, sql);
}

static enum err faulty_checkpoint(struct db *db, struct fault *f)
{
    return fails(db) ? GONE(f) : db->inner->checkpoint(db, f);
}

static enum err faulty_vacuum(struct db *db, struct fault *f)
{
    return fails(db) ? GONE(f) : db->inner->vacuum(db, f);
}

const struct backend faulty_backend = {
    .close = faulty_close,
    .begin = faulty_begin,
    .commit = faulty_commit,
    .rollback = faulty_rollback,
    .start = faulty_start,
    .step = faulty_step,
    .finish = faulty_finish,
    .column = faulty_column,
    .ddl = faulty_ddl,
    .checkpoint = faulty_checkpoint,
    .vacuum = faulty_vacuum,
};
